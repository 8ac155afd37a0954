"""The check of Lua scripts finds what Redis finds when the line runs, or never."""

import pytest

from common import lua_lint

WRONG = {
    "local a = 1\nreturn b + a": "x.lua:2: nothing defines b",
    "local a, _ = 1, 2": "x.lua:1: the local a is not used",
    "count = 1": "x.lua:1: count is assigned and not local",
    "for i, v in ipairs(KEYS) do redis.call('DEL', v) end": "x.lua:1: the local i is not used",
    "local function f(x) return y end\nreturn f(1)": "x.lua:1: nothing defines y",
    "-- @include gone\nreturn 1": "includes gone.lua, which is not there",
    "return (1": "x.lua: ",
    "-- @include part\nlocal n = 1\nreturn m": "x.lua:3: nothing defines m",
}
RIGHT = [
    "local t = {a = 1, ['b'] = 2}\nt.c = t.a\nreturn t",
    "-- @include part\nreturn twice(tonumber(ARGV[1]) + CONFIG.kept)",
    "local function f(x, unused) return x end\nreturn f(STATE.QUEUED)",
    "repeat local done = redis.call('GET', KEYS[1]) until done",
    "local h\nh = function(y) return y end\nreturn h(1)",
    "for n = 1, 3 do redis.call('LPUSH', KEYS[1], n) end",
]


def found(folder, text):
    (folder / "lua").mkdir()
    if "@include part" in text:
        (folder / "lua" / "part.lua").write_text(
            "local function twice(x) return x * 2 end\nlocal function spare() end\n"
        )
    (folder / "lua" / "x.lua").write_text(text)
    return lua_lint.problems(folder)


@pytest.mark.parametrize(("text", "sentence"), WRONG.items())
def test_a_fault_is_found_with_its_line(tmp_path, text, sentence):
    """Each kind of fault, said with file and line."""
    assert any(sentence in line for line in found(tmp_path, text))


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_right_is_left_alone(tmp_path, text):
    """Fields, loops, functions, what is included and what the loader writes out are no faults."""
    assert found(tmp_path, text) == []
