"""No module of the package imports, when it is loaded, one that imports it: the order of imports must not matter."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
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
