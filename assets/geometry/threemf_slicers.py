"""What slicers keep beside the model of a 3MF: which filament an object, a part or a triangle has, and its colour.

No standard: written from descriptions of what the programs write. Bambu Studio and OrcaSlicer have
`Metadata/project_settings.config` (JSON, colours of filaments), `Metadata/model_settings.config` (XML, filaments of objects and of their
parts) and `paint_color` at triangles; PrusaSlicer has `Metadata/Slic3r_PE.config` (lines), `Metadata/Slic3r_PE_model.config` (XML, filaments of
objects and of ranges of their triangles) and `mmu_segmentation` at triangles.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

# Bytes of one file of settings, how deep its elements may lie in each other, and what it may name; filaments have a number in a byte.
MOST_BYTES = 8 * 2**20
MOST_DEEP = 100
MOST_NAMED = 100_000
MOST_RANGES = 1000  # of one object
MOST_FILAMENTS = 255

_BAMBU, _PRUSA = "metadata/model_settings.config", "metadata/slic3r_pe_model.config"
_BAMBU_COLOURS, _PRUSA_COLOURS = "metadata/project_settings.config", "metadata/slic3r_pe.config"
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}(?:[0-9A-Fa-f]{2})?")
_LINE = re.compile(r"^;\s*(extruder_colour|filament_colour)\s*=(.*)$", re.MULTILINE)


class Strokes:
    """Reads what triangles say of their paint; counts those that are more than one colour, and those that say nothing."""

    def __init__(self) -> None:
        self.divided = self.wrong = 0
        self._known: dict[str, int] = {}  # short ones: nearly all triangles say one of a few

    def filament(self, said: dict[str, str]) -> int:
        """Return the number of the filament that covers most of a triangle; 0 is that of its part."""
        code = said.get("paint_color") or next(
            (value for name, value in said.items() if name.endswith("}mmu_segmentation")), ""
        )
        found = self._known.get(code)
        if found is not None:
            return found
        try:
            shares = covered(code)
        except (ValueError, StopIteration):
            self.wrong += 1
            return 0
        best = max(shares, key=lambda one: (shares[one], -one))
        if len(shares) > 1:
            self.divided += 1
        elif len(code) < 8:
            self._known[code] = best
        return best

    def unread(self) -> list[str]:
        """Return what was left out, in sentences."""
        lines = []
        if self.divided:
            lines.append(
                f"Triangles painted in several colours: {self.divided:,}. Each has the one that covers most of it."
            )
        if self.wrong:
            lines.append(f"Triangles whose paint cannot be read: {self.wrong:,}. They have the colour of their part.")
        return lines


def covered(code: str) -> dict[int, float]:
    """Return which share of a triangle each filament covers; raise ValueError or StopIteration where the code is none.

    The code is a tree, written from its end, in hexadecimal digits. The lower two bits of a digit are the number of cuts
    through the triangle, which has one piece more. Without a cut, the upper two are the filament; 3 says that the
    next digit is 3 less than it, and 15 there that another one follows. Cuts go through the middles of sides: the first one of three pieces is half of the triangle.
    """
    if not code:
        return {0: 1.0}
    digits = (int(one, 16) for one in reversed(code))
    found: dict[int, float] = {}
    open_pieces = [1.0]
    while open_pieces:
        size = open_pieces.pop()
        digit = next(digits)
        cuts, which = digit & 3, digit >> 2
        if cuts:
            shares = {1: (0.5, 0.5), 2: (0.25, 0.25, 0.5), 3: (0.25,) * 4}[cuts]
            open_pieces += [size * share for share in shares]  # the last one is read first
            continue
        if which == 3:
            while (more := next(digits)) == 15:
                which += 15
            which += more
        if which > MOST_FILAMENTS:
            raise ValueError("it names a filament of a number that no printer has")
        found[which] = found.get(which, 0.0) + size
    if next(digits, None) is not None:
        raise ValueError("it goes on behind its end")
    return found


@dataclass
class Filaments:
    """The filaments that the settings name."""

    colours: list[str] = field(default_factory=list)  # by their number, from 1; empty where a filament has none
    objects: dict[str, int] = field(default_factory=dict)
    parts: dict[tuple[str, str], int] = field(default_factory=dict)  # by object and part
    ranges: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)  # by object: first and last triangle
    unread: list[str] = field(default_factory=list)

    def of(self, item: str, part: str, number: int) -> Numbers:
        """Return the filament of each of `number` triangles of a part of the object `item`; the first where nothing says another."""
        own = self.parts.get((item, part)) or self.objects.get(item) or 1
        found: Numbers = np.full(number, own, dtype=np.int64)
        for first, last, filament in self.ranges.get(item, ()):
            found[first : last + 1] = filament or own
        return found


def read(names: dict[str, str], opened: Callable[[str], Any]) -> Filaments:
    """Return what the settings of a file say; `names` are its entries, by their names in small letters.

    What cannot be read is left out, and said: the shapes are worth reading without it.
    """
    found = Filaments()
    steps: dict[str, Callable[[bytes, Filaments], None]] = {
        _BAMBU_COLOURS: _bambu_colours,
        _PRUSA_COLOURS: _prusa_colours,
        _BAMBU: _named,
        _PRUSA: _named,
    }
    for name, step in steps.items():
        if name not in names:
            continue
        try:
            step(_content(opened, name), found)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 — whatever a parser trips over
            why = str(error) if type(error) is ValueError else "it is damaged"
            found.unread.append(
                f"Colours of filaments left out: {names[name]} cannot be read ({why}). Save the project again."
            )
    return found


def _content(opened: Callable[[str], Any], name: str) -> bytes:
    with opened(name) as file:
        data: bytes = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 20} MB")
    return data


def _bambu_colours(data: bytes, found: Filaments) -> None:
    settings = json.loads(data)
    colours = settings.get("filament_colour") if isinstance(settings, dict) else None
    _take(colours if isinstance(colours, list) else [], found)


def _prusa_colours(data: bytes, found: Filaments) -> None:
    lines = {name: value.split(";") for name, value in _LINE.findall(data.decode("utf-8", "replace"))}
    own, general = lines.get("extruder_colour", []), lines.get("filament_colour", [])
    number = max(len(own), len(general))
    both = zip(*(one + [""] * (number - len(one)) for one in (own, general)), strict=True)
    _take([_colour(first) or second for first, second in both], found)


def _take(colours: list[Any], found: Filaments) -> None:
    if len(colours) > MOST_FILAMENTS:
        raise ValueError(f"it has more than {MOST_FILAMENTS} filaments")
    if any(read := [_colour(one) for one in colours]):
        found.colours = read


def _colour(given: Any) -> str:
    text = given.strip(' \t\r"') if isinstance(given, str) else ""
    return text if _COLOUR.fullmatch(text) else ""


def _named(data: bytes, found: Filaments) -> None:
    reader = _SettingsReader(found)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.StartDoctypeDeclHandler = _refuse
    parser.Parse(data, True)


def _refuse(*declared: Any) -> None:
    raise ValueError("it declares a document type")


class _SettingsReader:
    """Reads which filament objects, parts and ranges of triangles have."""

    def __init__(self, found: Filaments) -> None:
        self.found = found
        self._deep = self._named = 0
        self._object = self._part = ""
        self._range: tuple[int, int] | None = None

    def start(self, tag: str, said: dict[str, str]) -> None:
        """Take what an element says."""
        self._deep += 1
        if self._deep > MOST_DEEP:
            raise ValueError("its elements lie too deep in each other")
        if tag == "object":
            self._object, self._part, self._range = said.get("id", ""), "", None
        elif tag == "part":
            self._part = said.get("id", "")
        elif tag == "volume":
            self._range = _number(said.get("firstid")), _number(said.get("lastid"))
        elif tag == "metadata" and said.get("key") == "extruder" and self._object:
            self._take(_number(said.get("value")))

    def end(self, tag: str) -> None:
        """Leave what an element was about."""
        self._deep -= 1
        if tag == "object":
            self._object = ""
        elif tag == "part":
            self._part = ""
        elif tag == "volume":
            self._range = None

    def _take(self, filament: int) -> None:
        self._named += 1
        if self._named > MOST_NAMED:
            raise ValueError(f"it names more than {MOST_NAMED:,} parts")
        if self._range is not None:
            ranges = self.found.ranges.setdefault(self._object, [])
            if len(ranges) >= MOST_RANGES:
                raise ValueError(f"an object has more than {MOST_RANGES:,} volumes")
            ranges.append((*self._range, filament))
        elif self._part:
            self.found.parts[self._object, self._part] = filament
        else:
            self.found.objects[self._object] = filament


def _number(text: str | None) -> int:
    """Return a number of a filament or a triangle; what is none is 0, which says nothing."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
