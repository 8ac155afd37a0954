"""Which definitions there are, and their versions: files of apps, functions, and what people load."""

import pytest

from jobroom.workflows import launches
from jobroom.workflows.definitions import registry
from jobroom.workflows.definitions.parser import WrongDefinition
from jobroom.workflows.definitions.payloads import WrongPayload
from jobroom.workflows.exceptions import NotAllowed, NotNow, WrongFields
from jobroom.workflows.models import Definition, DefinitionVersion, StoredWorkflow
from jobroom.workflows.tests.hand import signature
from jobroom.workflows.workflows import Workflow

pytestmark = pytest.mark.django_db


def text(number=1, name="sums", more=""):
    return f"name: {name}\ntitle: Sums {number}\n{more}nodes:\n  add: {{task: demo.add, args: [{number}, 1]}}\n"


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch, empty_redis):
    Definition.objects.all().delete()
    monkeypatch.setattr(registry, "_functions", {})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Let there be the files of this folder alone."""
    monkeypatch.setattr(
        registry, "files", lambda: {f"app/{path.name}": path for path in sorted(tmp_path.glob("*.yaml"))}
    )
    return tmp_path


@pytest.fixture
def doubling(folder):
    @registry.workflow_definition("doubling", payload={"properties": {"n": {"type": "integer", "default": 2}}})
    def doubling(payload):
        """Add a number to itself."""
        workflow = Workflow()
        workflow.returns(workflow.add_signature(signature("demo.add", payload["n"], payload["n"])).result)
        return workflow

    registry.sync()
    return doubling


def launch(name, **options):
    return launches.launch(**{"definition": name, "payload": {}, "by": None, "source": "code", **options})


def test_the_shipped_definitions_are_right(db, monkeypatch):
    assert registry.sync() == []
    names = set(Definition.objects.values_list("name", flat=True))
    assert {"arithmetic", "count-words", "release", "fragile", "levels-of-detail"} <= names


def test_a_text_becomes_a_version_and_the_same_text_none():
    first = registry.keep(text(), origin="a")
    assert registry.keep(text(), origin="b") == first
    second = registry.keep(text(2), origin="a")
    assert (first.number, second.number, second.definition.title) == (1, 2, "Sums 2")
    assert registry.newest("sums") == second
    assert registry.keep(text(), origin="a").number == 3, "going back is a version too"


def test_a_bad_text_is_no_version():
    with pytest.raises(WrongDefinition):
        registry.keep("name: sums\nnodes: {a: {task: nope}}", origin="a")
    assert not Definition.objects.exists()


def test_a_workflow_keeps_its_version_and_an_older_one_can_be_launched():
    first = registry.keep(text(), origin="a")
    old = launch("sums")
    registry.keep(text(2), origin="a")
    new, again = launch("sums"), launch("sums", version=1)
    assert old.definition == again.definition == first
    assert new.definition.number == 2
    assert [row.read_graph().nodes[0].args[0] for row in (old, new, again)] == [1, 2, 1]


@pytest.mark.parametrize(
    ("name", "version", "errors"),
    [
        ("sum", None, {"definition": ["There is no workflow called “sum”. There are: sums."]}),
        ("sum", 1, {"definition": ["There is no workflow called “sum”. There are: sums."]}),
        ("sums", 7, {"version": ["“sums” has no version 7. The newest is 1."]}),
    ],
)
def test_what_does_not_exist_is_reported(name, version, errors):
    registry.keep(text(), origin="a")
    with pytest.raises(WrongFields) as caught:
        launch(name, version=version)
    assert caught.value.errors == errors


def test_who_may_launch_nothing_is_shown_no_names(ada):
    registry.keep(text(), origin="a")
    texts = []
    for name in ("sum", "sums"):
        with pytest.raises(NotAllowed, match="There are: none yet") as refused:
            launch(name, by=ada)
        texts.append(str(refused.value))
    assert texts[0] == texts[1].replace("sums", "sum")


def test_what_is_switched_off_is_not_launched():
    registry.keep(text(), origin="a")
    Definition.objects.update(enabled=False)
    with pytest.raises(NotNow, match="The workflow sums is switched off"):
        launch("sums")
    assert not StoredWorkflow.objects.exists()


# --- files -----------------------------------------------------------------------------------------------------------


def test_files_are_taken_over_and_what_is_wrong_with_one_does_not_hinder_the_others(folder, caplog):
    (folder / "bad.yaml").write_text("name: bad\nnodes: 3\n")
    (folder / "good.yaml").write_text(text())
    (folder / "latin.yaml").write_bytes(b"name: \xe4")
    problems = registry.sync()
    assert problems[0] == "app/bad.yaml: Line 2, column 1: `nodes`: “3” is not an object (names with values)."
    assert problems[1].startswith("app/latin.yaml: ")
    assert registry.newest("sums").origin == "app/good.yaml"
    assert "app/bad.yaml" in caplog.text


def test_a_file_may_contain_one_that_comes_later(folder):
    (folder / "a.yaml").write_text("name: outer\nnodes: {part: {workflow: sums}}\n")
    (folder / "b.yaml").write_text(text())
    assert registry.sync() == []
    assert [node.key for node in launch("outer").read_graph().nodes] == ["part: add"]


def test_what_someone_loaded_stays_until_the_file_changes(folder):
    (folder / "a.yaml").write_text(text())
    registry.sync()
    loaded = registry.keep(text(5), origin="grace")
    registry.sync()
    assert registry.newest("sums") == loaded
    (folder / "a.yaml").write_text(text(6))
    registry.sync()
    assert (registry.newest("sums").number, registry.newest("sums").origin) == (3, "app/a.yaml")


# --- functions -------------------------------------------------------------------------------------------------------


def test_a_function_is_a_definition(doubling):
    row = Definition.objects.get()
    assert (row.name, row.title, row.description) == ("doubling", "doubling", "Add a number to itself.")
    stored = launch("doubling", payload={"n": 5})
    assert (stored.name, stored.payload, stored.read_graph().nodes[0].args) == ("doubling", {"n": 5}, [5, 5])
    with pytest.raises(WrongPayload, match="“x” is not a whole number"):
        launch("doubling", payload={"n": "x"})


def test_a_file_cannot_take_the_name_of_a_function(doubling):
    with pytest.raises(
        WrongDefinition, match=r"Line 1, column 1: “doubling” is written in Python, by jobroom\.workflows"
    ):
        registry.keep(text(name="doubling"), origin="a")


def test_of_a_function_only_what_is_written_now_can_be_launched(doubling):
    version = registry.newest("doubling")
    DefinitionVersion.objects.create(definition=version.definition, number=2, source="changed", sha256="x")
    with pytest.raises(WrongFields, match="only what is written now can be launched, version 2"):
        launch("doubling", version=1)
