"""What a 3MF file says of colours: base materials, colour groups and textures, as visuals of the mesh library.

Formats: 3MF Core Specification 1.3, 4.1.4 and 5.1 (base materials); 3MF Materials and Properties Extension 1.2, 2, 3 and 6
(colour groups, texture groups, textures). Mixtures have no colours.
"""

import re
from array import array
from collections.abc import Callable
from typing import IO, Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from assets.geometry import atlas
from assets.geometry.atlas import Tiled
from assets.geometry.pictures import Budget

Numbers = NDArray[np.int64]
Colours = NDArray[np.uint8]
Floats = NDArray[np.float64]

# Of triangles without a colour in a file that has some.
PLAIN = (204, 204, 204, 255)
# Elements that have others with values in them, and these with the attribute of their colour.
_GROUPS = {"basematerials", "colorgroup", "texture2dgroup"}
_VALUES = {"base": "displaycolor", "color": "color", "tex2coord": ""}
_COLOUR = re.compile(r"#([0-9A-Fa-f]{6})([0-9A-Fa-f]{2})?")
_FARTHEST = 1e6  # how far from a texture its coordinates may be: beyond, pixels have no numbers any more


class Palette:
    """All colours and places on textures that a file names, each with a number; 0 is none.

    Textures are decoded only when a triangle has one.
    """

    def __init__(self, opened: Callable[[str], IO[bytes]]) -> None:
        self.has_colours = False
        # Flat, four and two values a number: there may be one for each corner of a mesh.
        self._colours = array("B", PLAIN)
        self._places = array("d", (0.0, 0.0))
        self._starts: dict[tuple[str, str], int] = {}  # where groups begin; one ends where the next one begins
        self._ends: dict[tuple[str, str], int] = {}
        self._group = ("", "")
        self._texture_of: dict[tuple[str, str], tuple[str, str]] = {}  # by group
        self._textures: dict[tuple[str, str], tuple[str, str, str]] = {}
        self._opened, self._budget = opened, Budget()
        self._pictures: dict[tuple[str, str], Tiled | None] = {}

    @property
    def colours(self) -> Colours:
        """Return the colour of each number (n, 4)."""
        return np.frombuffer(self._colours, dtype=np.uint8).reshape(-1, 4)

    @property
    def places(self) -> Floats:
        """Return where each number is on its texture (n, 2)."""
        return np.frombuffer(self._places, dtype=float).reshape(-1, 2)

    def add(self, part: str, kind: str, said: dict[str, str]) -> None:
        """Remember what an element of `kind` says, in the order of the part; most kinds say nothing of colours."""
        if kind in _VALUES:
            if self._group in self._starts:
                self._colours.extend(_colour(said.get(_VALUES[kind])))
                self._places.extend((_number(said.get("u")), _number(said.get("v"))))
                self._ends[self._group] += 1
        elif kind in _GROUPS:
            self._group = key = (part, said.get("id", ""))
            self._starts[key] = self._ends[key] = len(self._colours) // 4
            self.has_colours |= kind != "texture2dgroup"
            if kind == "texture2dgroup":
                self._texture_of[key] = (part, said.get("texid", ""))
        elif kind == "texture2d":
            styles = said.get("tilestyleu", "wrap"), said.get("tilestylev", "wrap")
            self._textures[part, said.get("id", "")] = (said.get("path", ""), *styles)

    def filaments(self, colours: list[str]) -> Numbers:
        """Add the colours of filaments and return their numbers; 0 for an empty one."""
        start = len(self._colours) // 4
        for one in colours:
            self._colours.extend(_colour(one))
            self._places.extend((0.0, 0.0))
        self.has_colours = True
        return np.where([bool(one) for one in colours], np.arange(start, start + len(colours)), 0)

    def numbers(self, part: str, group: str, chosen: tuple[str, ...]) -> tuple[int, ...]:
        """Return the numbers for those that are chosen from a group, as the file says them."""
        start = self._starts.get((part, group))
        if start is None:
            return (0,) * len(chosen)
        end = self._ends[part, group]
        # Of thousands of digits Python reads none.
        found = [start + int(one) if one.isdecimal() and len(one) < 10 else end for one in chosen]
        return tuple(number if number < end else 0 for number in found)

    def textures(self, used: Numbers) -> tuple[Numbers, list[Tiled]]:
        """Return for each number of the palette the texture on which it is, -1 for none, and these textures.

        `used` are the numbers that triangles have. A texture that is no picture is none.
        """
        which: Numbers = np.full(len(self.colours), -1, dtype=np.int64)
        asked = np.zeros(len(which), dtype=bool)
        asked[used] = True
        order: dict[tuple[str, str], int] = {}
        for group, key in self._texture_of.items():
            start, end = self._starts[group], self._ends[group]
            if asked[start:end].any() and self._picture(key) is not None:
                which[start:end] = order.setdefault(key, len(order))
        return which, [tiled for key in order if (tiled := self._picture(key)) is not None]

    def _picture(self, key: tuple[str, str]) -> Tiled | None:
        if key not in self._pictures:
            path, *styles = self._textures.get(key, ("", "wrap", "wrap"))
            image = self._budget.read(lambda: self._opened(path))
            self._pictures[key] = None if image is None else Tiled(image, *styles)
        return self._pictures[key]

    def unread(self) -> list[str]:
        """Return what could not be used, in sentences, once the textures were asked for."""
        lost = sum(tiled is None for tiled in self._pictures.values())
        if not lost:
            return []
        return [
            f"Textures left out: {lost:,} of {len(self._pictures):,}. Each must be a PNG or JPEG in the file, "
            f"{Budget.BYTES // 2**20} MB and {Budget.PIXELS // 10**6} million pixels at most, all together."
        ]


def _colour(text: str | None) -> tuple[int, ...]:
    found = _COLOUR.fullmatch((text or "").strip())
    return tuple(bytes.fromhex(found[1] + (found[2] or "FF"))) if found else PLAIN


def _number(text: str | None) -> float:
    """Return a coordinate on a texture; what is none does not make a mesh unreadable."""
    try:
        found = float(text or "")
    except ValueError:
        return 0.0
    return found if abs(found) < _FARTHEST else 0.0


def paint(vertices: Floats, faces: Numbers, paints: Numbers, palette: Palette) -> trimesh.Trimesh:
    """Return the mesh with the colours that `paints` (triangles, 3) choose from the palette for corners of triangles.

    With textures in it, all colours are in one picture.
    """
    which, textures = palette.textures(np.unique(paints))
    if not textures:
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        if palette.has_colours:
            mesh.visual = _coloured(mesh, palette.colours[paints])
        return mesh
    image, uv = atlas.laid_out(
        textures,
        which[paints[:, 0]],
        palette.places[paints],
        palette.colours[paints],
    )
    return _textured(vertices, faces, uv, image)


def _coloured(mesh: trimesh.Trimesh, colours: Colours) -> Any:
    """Return the colours (triangles, 3, 4) of corners as those of corners where all triangles agree, else of triangles."""
    of_corners: Colours = np.zeros((len(mesh.vertices), 4), dtype=np.uint8)
    of_corners[mesh.faces] = colours
    if (of_corners[mesh.faces] == colours).all():
        return trimesh.visual.ColorVisuals(mesh, vertex_colors=of_corners)
    return trimesh.visual.ColorVisuals(mesh, face_colors=atlas.means(colours))


def _textured(vertices: Floats, faces: Numbers, uv: Floats, image: Any) -> trimesh.Trimesh:
    """Return the mesh with the image; a corner that is at several places `uv` (triangles, 3, 2) becomes several."""
    places, place = np.unique(np.ascontiguousarray(uv).view(np.complex128).reshape(-1), return_inverse=True)
    keys, corners = np.unique(faces.reshape(-1) * len(places) + place.reshape(-1), return_inverse=True)
    visuals: Any = trimesh.visual
    material = visuals.material.PBRMaterial(baseColorTexture=image, metallicFactor=0.0, roughnessFactor=1.0)
    at = places[keys % len(places)]
    visual = visuals.TextureVisuals(uv=np.stack([at.real, at.imag], axis=1), material=material)
    return trimesh.Trimesh(vertices[keys // len(places)], corners.reshape(-1, 3), visual=visual, process=False)
