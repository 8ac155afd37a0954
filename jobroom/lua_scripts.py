"""Loads our Lua scripts: files in the folder `lua` of the package that runs them, combined here.

A file may begin with `-- @include name …`: the files of the same folder that are put before it. In its text, `CONFIG.name`
stands for a number or text that Python knows, and `STATE.NAME` for a member of an enumeration: both are replaced by the
value, so that nothing is looked up when the script runs and no value is written down twice. `manage.py lint` reads the
files (`common/lua_lint.py`).
"""

import enum
import re
from collections.abc import Collection, Mapping
from importlib import resources

Value = str | int | float | Collection[str]

FOLDER = "lua"
INCLUDE = re.compile(r"^-- @include (.+)$", re.MULTILINE)
_PLACE = re.compile(r"\b(CONFIG|STATE)\.(\w+)")


class ScriptError(Exception):
    """A script of ours cannot be put together; the message names the file."""


def source(
    package: str,
    name: str,
    config: Mapping[str, Value] | None = None,
    states: type[enum.StrEnum] | None = None,
) -> str:
    """Return the script `name` of `package` with the files it includes, and `config` and `states` put in."""
    text = read(package, name)
    parts = [read(package, part) for found in INCLUDE.findall(text) for part in found.split()]
    values: dict[str, dict[str, Value]] = {
        "CONFIG": dict(config or {}),
        "STATE": {state.name: state.value for state in states or ()},
    }

    def value(place: re.Match[str]) -> str:
        table, field = place.groups()
        if field not in values[table]:
            raise ScriptError(f"{package}/{FOLDER}/{name}.lua: {table}.{field} has no value.")
        return literal(values[table][field])

    return _PLACE.sub(value, "".join([*parts, text]))


def read(package: str, name: str) -> str:
    """Return the text of one file."""
    return (resources.files(package) / FOLDER / f"{name}.lua").read_text(encoding="utf-8")


def literal(value: Value) -> str:
    """Return a value as Lua writes it; a collection of names becomes a table that is true for each of them."""
    if isinstance(value, str):
        if not re.fullmatch(r"[\w .:-]*", value, re.ASCII):
            raise ScriptError(f"{value!r} is not put into a script: give it as an argument.")
        return f"'{value}'"
    if isinstance(value, int | float):
        return repr(value)
    return "{" + ", ".join(f"[{literal(str(name))}] = true" for name in sorted(value)) + "}"
