"""Our Lua scripts: put together from files, with what Python knows put in, and accepted by the server."""

from pathlib import Path

import pytest

import jobroom
from jobroom import lua_scripts, redis
from jobroom.cache import scripts as cache_scripts
from jobroom.celery import delayed, queue_messages
from jobroom.events import cancellation, consumer
from jobroom.locks import scripts as lock_scripts
from jobroom.lua_scripts import ScriptError, literal, source
from jobroom.tasks import outbox
from jobroom.workflows.engine import scripts as engine_scripts
from jobroom.workflows.engine.keys import NodeState

FILES = sorted(Path(jobroom.__path__[0]).rglob("lua/*.lua"))


def test_values_are_written_as_lua_writes_them():
    """Numbers, words, and sets of words; anything else must be an argument of the script."""
    assert [literal(value) for value in (3, 2.5, "word", {"b", "a"})] == [
        "3",
        "2.5",
        "'word'",
        "{['a'] = true, ['b'] = true}",
    ]
    with pytest.raises(ScriptError, match="give it as an argument"):
        literal("it's")


def test_included_files_come_first_and_values_are_put_in():
    """A script of the engine begins with what it includes, and knows the states of nodes by their names."""
    text = source("jobroom.workflows.engine", "decide", {"kept": 7, "after": 8, "held": 9, "ended": {"s"}}, NodeState)
    assert (
        text.index("local function emit")
        < text.index("local function settle")
        < text.index(f"~= '{NodeState.APPROVAL}'")
    )
    assert "'~', 7," in text
    assert "CONFIG." not in text
    assert "STATE." not in text


def test_a_value_that_python_does_not_give_is_named():
    """No script reaches the server with a place that nothing fills."""
    with pytest.raises(ScriptError, match=r"jobroom.locks/lua/release.lua: CONFIG.remembered has no value"):
        source("jobroom.locks", "release")


def texts() -> dict[str, str]:
    """Return every script as it is sent to the server."""
    modules = (cache_scripts, lock_scripts, delayed, queue_messages, cancellation, consumer, outbox)
    found = {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if name.strip("_").isupper() and isinstance(value, str) and "redis.call" in value
    }
    config: dict[str, lua_scripts.Value] = {"kept": 1, "after": 1, "held": 1, "ended": {"s"}}
    for path in (Path(engine_scripts.__file__).parent / "lua").glob("*.lua"):
        if path.stem not in {"base", "step", "gather", "revive"}:
            found[f"engine.{path.stem}"] = source("jobroom.workflows.engine", path.stem, config, NodeState)
    return found


def test_the_server_accepts_every_script():
    """Redis compiles each of them; a script that it refuses would show only when it is needed."""
    found = texts()
    assert len(found) >= 30
    for name, text in found.items():
        assert redis.client().script_load(text), name


def test_no_script_is_written_in_python():
    """Lua in a Python string is neither linted nor shown as what it is."""
    folder = Path(jobroom.__path__[0])
    wrong = [
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if "tests" not in path.parts and "redis.call(" in path.read_text()
    ]
    assert wrong == []
    assert len(FILES) >= 45


def test_files_are_found_where_the_loader_looks():
    """Every file lies in the folder `lua` of a package."""
    assert {path.parent.name for path in FILES} == {lua_scripts.FOLDER}
