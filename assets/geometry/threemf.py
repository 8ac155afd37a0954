"""Reads 3MF files: the objects that are built, from all parts of the file, in one mesh with its colours or texture.

Formats: 3MF Core Specification 1.3, 3.4 and 4 (build, objects, components); 3MF Production Extension 1.1, 2 (objects in
other parts of the file). What slicers keep beside it: `assets.geometry.threemf_slicers`.
"""

import zipfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote
from xml.parsers import expat

import numpy as np
import trimesh
from numpy.typing import NDArray

from assets.geometry import threemf_slicers
from assets.geometry.formats import MeshProblem
from assets.geometry.threemf_paints import Numbers, Palette, paint

Matrix = NDArray[np.float64]

# Where a mesh keeps what of its file could not be read, in sentences.
UNREAD = "unread"
# Objects and copies of them, those within others included: some bytes of components could ask for any number.
MOST_COPIES = 100_000
_PATH = "http://schemas.microsoft.com/3dmanufacturing/production/2015/06}path"


@dataclass
class _Placed:
    """That an object is at some place: in the build, or as a component of another object."""

    part: str
    number: str
    matrix: Matrix


@dataclass
class _Object:
    """What a part says of an object: flat lists, three values a corner or triangle."""

    group: str
    index: str
    corners: "array[float]" = field(default_factory=lambda: array("d"))
    named: "array[int]" = field(default_factory=lambda: array("q"))  # the corners of triangles
    painted: "array[int]" = field(default_factory=lambda: array("q"))  # what these have of the palette
    filaments: "array[int]" = field(default_factory=lambda: array("B"))  # with which a slicer painted each triangle
    components: list[_Placed] = field(default_factory=list)

    @property
    def vertices(self) -> Matrix:
        """Return the corners (n, 3)."""
        return np.frombuffer(self.corners, dtype=float).reshape(-1, 3)

    @property
    def faces(self) -> Numbers:
        """Return the triangles (m, 3)."""
        return np.frombuffer(self.named, dtype=np.int64).reshape(-1, 3)

    @property
    def paints(self) -> Numbers:
        """Return a number in the palette for each corner of each triangle (m, 3)."""
        return np.frombuffer(self.painted, dtype=np.int64).reshape(-1, 3)


# An object with the matrix of its place, and the names of what is built and of itself.
_Found = tuple[_Object, Matrix, tuple[str, str]]


def read(path: Path) -> trimesh.Trimesh:
    """Return what the file builds, all in one mesh; raise MeshProblem, or any exception of a damaged archive."""
    with zipfile.ZipFile(path) as archive:
        package = _Package(archive)
        found = [one for item in package.build for one in package.placed(item, ())]
        if not found:
            raise MeshProblem("The 3MF file builds no object that has triangles. Export it again.")
        before = np.cumsum([0, *(len(solid.vertices) for solid, _, _ in found[:-1])])
        paints = package.paints(found)
        mesh = paint(
            np.vstack([solid.vertices @ matrix[:3] + matrix[3] for solid, matrix, _ in found]),
            np.vstack([_turned(solid.faces, at) + start for (solid, at, _), start in zip(found, before, strict=True)]),
            np.vstack([_turned(one, matrix) for one, (_, matrix, _) in zip(paints, found, strict=True)]),
            package.palette,
        )
        mesh.metadata[UNREAD] = package.unread()
        return mesh


def _turned(triangles: Numbers, matrix: Matrix) -> Numbers:
    """Return the triangles, turned round where the matrix is a mirror."""
    return triangles[:, ::-1] if np.linalg.det(matrix[:3]) < 0 else triangles


class _Package:
    """The parts of a file, each read when an object in it is asked for."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.names = {_part(name): name for name in archive.namelist()}  # names of parts have no case
        self.palette = Palette(self._file)
        self.build: list[_Placed] = []
        self.missing: set[tuple[str, str]] = set()
        self._objects: dict[tuple[str, str], _Object] = {}
        self._read: set[str] = set()
        self._copies = 0
        self._slicer, self._strokes = threemf_slicers.read(self.names, self._file), threemf_slicers.Strokes()
        model = next((name for name in self.names if name.endswith("3d/3dmodel.model")), None)
        if model is None:
            raise MeshProblem("The 3MF file has no model in it (3D/3dmodel.model). Export it again.")
        self._read_part(model)

    def placed(self, at: _Placed, within: tuple[tuple[str, str], ...]) -> Iterator[_Found]:
        """Yield the triangles at this place, with the matrix (4, 3) that a row of coordinates is multiplied by.

        The names are those of what is built and of the object itself, by which a slicer names a part.
        """
        key = (at.part, at.number)
        if key in within:
            raise MeshProblem("An object of the 3MF file contains itself. Export it again.")
        self._copies += 1
        if self._copies > MOST_COPIES:
            raise MeshProblem(f"The 3MF file has more than {MOST_COPIES:,} objects and copies. Export it as one mesh.")
        self._read_part(at.part)
        found = self._objects.get(key)
        if found is None:
            self.missing.add(key)
            return
        if found.named:
            if found.faces.min() < 0 or found.faces.max() >= len(found.vertices):
                raise MeshProblem("Some triangles name corners that do not exist. Export the file again.")
            yield found, at.matrix, (within[0][1] if within else at.number, at.number)
        for one in found.components:
            outer = np.vstack([one.matrix[:3] @ at.matrix[:3], one.matrix[3] @ at.matrix[:3] + at.matrix[3]])
            yield from self.placed(_Placed(one.part, one.number, outer), (*within, key))

    def paints(self, found: list[_Found]) -> list[Numbers]:
        """Return for each object (triangles, 3) what it has of the palette: what the model says, else what a slicer does.

        All parts are read by now, so that colours of filaments come last.
        """
        slicer = self._slicer
        if not slicer.colours:
            if any(np.frombuffer(solid.filaments, dtype=np.uint8).any() for solid, _, _ in found):
                slicer.unread.append("Painted triangles are plain: the file has no colours of filaments.")
            return [solid.paints for solid, _, _ in found]
        # 0 for filaments without a colour, also for all beyond the list.
        known: Numbers = np.zeros(threemf_slicers.MOST_FILAMENTS + 2, dtype=np.int64)
        known[1 : len(slicer.colours) + 1] = self.palette.filaments(slicer.colours)
        lost: set[int] = set()
        result = []
        for solid, _, (item, part) in found:
            paints, drawn = solid.paints, np.frombuffer(solid.filaments, dtype=np.uint8)
            chosen = np.where(drawn > 0, drawn, slicer.of(item, part, len(drawn))).clip(max=len(known) - 1)
            bare = (paints == 0).all(axis=1)
            lost.update(np.unique(chosen[bare & (known[chosen] == 0)]).tolist())
            result.append(np.where(bare[:, None], known[chosen][:, None], paints))
        if lost:
            slicer.unread.append(f"Filaments without a colour: {len(lost)}. What is made of them is plain.")
        return result

    def unread(self) -> list[str]:
        """Return what of the file was left out, in sentences."""
        lines = self.palette.unread() + self._slicer.unread + (self._strokes.unread() if self._slicer.colours else [])
        if self.missing:
            lines.append(f"Objects that the file names and does not have: {len(self.missing):,}.")
        return lines

    def _file(self, path: str) -> IO[bytes]:
        return self.archive.open(self.names[_part(path)])

    def _read_part(self, part: str) -> None:
        """Read the part's objects and colours; what it builds is of no matter but in the model itself."""
        if part in self._read or part not in self.names:
            return
        root = not self._read
        self._read.add(part)
        reader = _PartReader(part, self.palette, self._strokes)
        with self.archive.open(self.names[part]) as file:
            reader.read(file)
        self._objects |= {(part, number): one for number, one in reader.objects.items()}
        if root:
            self.build = reader.items


class _PartReader:
    """Reads one part as it is decompressed: a tree of its elements would take gigabytes for a million triangles."""

    def __init__(self, part: str, palette: Palette, strokes: threemf_slicers.Strokes) -> None:
        self.part, self.palette, self.strokes = part, palette, strokes
        self.objects: dict[str, _Object] = {}
        self.items: list[_Placed] = []
        self._object: _Object | None = None

    def read(self, file: IO[bytes]) -> None:
        """Read the part; raise any exception where it is not what it should be."""
        parser = expat.ParserCreate(namespace_separator="}")
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.StartDoctypeDeclHandler = _refuse  # with it no entity, and nothing from anywhere else
        parser.ParseFile(file)

    def _start(self, tag: str, said: dict[str, str]) -> None:
        kind, one = tag[tag.rfind("}") + 1 :], self._object
        if kind == "object":
            self._object = _Object(said.get("pid", ""), said.get("pindex", "0"))
            self.objects[said.get("id", "")] = self._object
        elif kind == "item":
            self.items.append(_placed(self.part, said))
        elif one is None:
            self.palette.add(self.part, kind, said)
        elif kind == "vertex":
            one.corners.extend((float(said["x"]), float(said["y"]), float(said["z"])))
        elif kind == "triangle":
            one.named.extend((int(said["v1"]), int(said["v2"]), int(said["v3"])))
            one.painted.extend(self._paints(one, said))
            one.filaments.append(self.strokes.filament(said) if len(said) > 3 else 0)
        elif kind == "component":
            one.components.append(_placed(self.part, said))

    def _end(self, tag: str) -> None:
        if tag.endswith("}object") or tag == "object":
            self._object = None

    def _paints(self, one: _Object, said: dict[str, str]) -> tuple[int, ...]:
        """Return what the corners of a triangle of an object have of the palette."""
        first = said.get("p1")
        if first is None:
            return self.palette.numbers(self.part, one.group, (one.index,) * 3)
        return self.palette.numbers(
            self.part, said.get("pid", one.group), (first, said.get("p2", first), said.get("p3", first))
        )


def _refuse(*declared: Any) -> None:
    raise ValueError("it declares a document type, which no 3MF may")


def _part(path: str) -> str:
    """Return the part that a path within the file names, as the keys of `_Package.names`."""
    return unquote(path.strip()).lstrip("/").lower()


def _placed(part: str, said: dict[str, str]) -> _Placed:
    """Return the place of an `item` or a `component`, in the part itself or in the one that it names."""
    path = said.get(_PATH)
    matrix = np.array(said.get("transform", "1 0 0 0 1 0 0 0 1 0 0 0").split(), dtype=float).reshape(4, 3)
    return _Placed(part if path is None else _part(path), said.get("objectid", ""), matrix)
