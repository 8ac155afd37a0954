"""A job's result for its page: fields with readable values, tables, and pictures and meshes among its files."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from jobroom.arguments.redaction import hide
from jobroom.jobs.models import StoredFile

# So many fields, rows, columns and characters are shown; the whole result is folded below them.
FIELDS, ROWS, COLUMNS, LONGEST = 40, 50, 8, 400
# So many values stand in one line.
FEW = 4
# What the page can show in 3D, by the end of the file's name, and up to so many bytes.
MESHES = ("glb", "stl", "ply", "obj")
LARGEST_MESH = 64 * 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows that have the same columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left_out: int


@dataclasses.dataclass(frozen=True)
class Field:
    """One thing that a result says: a text, a table, or fields of its own."""

    name: str
    text: str = ""
    table: Table | None = None
    is_code: bool = False
    fields: "Sequence[Field]" = ()

    @property
    def words(self) -> str:
        """The name as people read it; as it is written stands in the JSON below."""
        return self.name.replace("_", " ").strip() or self.name


@dataclasses.dataclass(frozen=True)
class Shown:
    """A result in parts; `is_whole` where the fields say all of it, so that nothing needs to be folded below."""

    fields: Sequence[Field]
    is_whole: bool


def shown(result: Any, files: Iterable[StoredFile] = ()) -> Shown:
    """Return the parts of a result, secrets hidden; an id of one of `files` is its name."""
    value = _with_names(hide(result), {str(file.pk): file.name for file in files})
    if isinstance(value, Mapping) and value:
        fields = [_field(str(name), one) for name, one in list(value.items())[:FIELDS]]
        return Shown(fields, is_whole=False)
    field = _field("", value)
    return Shown([field], is_whole=not isinstance(value, list | dict) and len(field.text) < LONGEST)


def _with_names(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_names(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_names(one, names) for one in value]
    return names.get(value, value) if isinstance(value, str) else value


def _field(name: str, value: Any, *, nested: bool = False) -> Field:
    if isinstance(value, list) and value:
        if all(isinstance(one, Mapping) and one for one in value):
            return Field(name, table=_table(value))
        if all(not isinstance(one, list | Mapping) for one in value):
            return Field(name, _cut(", ".join(_plain(one) for one in value)))
    if isinstance(value, Mapping) and value and not nested and (len(value) > FEW or not _is_flat(value)):
        return Field(name, fields=[_field(str(key), one, nested=True) for key, one in list(value.items())[:FIELDS]])
    if isinstance(value, Mapping) and value and _is_flat(value):
        return Field(name, _cut(", ".join(f"{key}: {_plain(one)}" for key, one in value.items())))
    if isinstance(value, list | Mapping) and value:
        return Field(name, _cut(json.dumps(value, ensure_ascii=False, default=str)), is_code=True)
    return Field(name, _cut(_plain(value)))


def _is_flat(value: Mapping[Any, Any]) -> bool:
    return all(not isinstance(one, list | Mapping) for one in value.values())


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = list(dict.fromkeys(str(key) for row in rows[:ROWS] for key in row))[:COLUMNS]
    cells = [[_cut(_cell(row[name])) if name in row else "" for name in columns] for row in rows[:ROWS]]
    return Table(columns, cells, max(0, len(rows) - ROWS))


def _cell(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | Mapping) else _plain(value)


def _plain(value: Any) -> str:
    """Return a single value as a person writes it."""
    if value is None or value == [] or value == {}:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return str(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def mesh_kind(file: StoredFile) -> str:
    """Return as what the page can show a file in 3D; empty where it cannot."""
    kind = PurePath(file.name).suffix.lower().lstrip(".")
    return kind if kind in MESHES and file.size <= LARGEST_MESH else ""


def is_picture(file: StoredFile) -> bool:
    """Return whether a page shows the file in its place: a picture that a job made, see `jobroom.jobs.files.answer`."""
    return file.content_type == "image/png" and not file.uploaded
