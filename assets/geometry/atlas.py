"""Several textures and colours of a mesh in one picture, as the formats that we write have one for a mesh."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colours = NDArray[np.uint8]
Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

MOST_PIXELS = 2**24  # of the picture, about: what would be more is made smaller
_LONGEST = 8192  # side of one texture in it
_RIM = 2  # pixels around each texture: what is smoothed or rounded must not fall on its neighbour
_PATCH = 4  # side of the square of a colour, which is taken from its middle
_MOST_COLOURS = 2**14  # with more, similar ones become one


@dataclass(frozen=True)
class Tiled:
    """A picture, and how it goes on beside itself: `wrap`, `mirror`, and all else as `clamp`."""

    image: Image.Image
    across: str = "wrap"
    down: str = "wrap"


@dataclass
class _Piece:
    """A part of the picture: `pixels` (height, width, 3), which show the plane from `low` to `high` (x, y), y down."""

    pixels: Colours
    low: Floats
    high: Floats
    left: int = 0
    top: int = 0

    def places(self, at: Floats) -> Floats:
        """Return where points of the plane (…, 2) are in the whole picture, in pixels from its upper left."""
        inner = np.array([self.pixels.shape[1], self.pixels.shape[0]]) - 2 * _RIM
        return np.asarray(np.array([self.left, self.top]) + _RIM + (at - self.low) / (self.high - self.low) * inner)


def means(colours: Colours) -> Colours:
    """Return one colour for each triangle, given those (triangles, 3, 4) of its corners."""
    return np.asarray(colours.mean(axis=1).round(), dtype=np.uint8)


def laid_out(textures: list[Tiled], which: Numbers, uv: Floats, colours: Colours) -> tuple[Image.Image, Floats]:
    """Return one picture, and where in it the corners of the triangles are (triangles, 3, 2), from its lower left.

    `which` (triangles) is the texture of a triangle, -1 for none; `uv` (triangles, 3, 2) where its corners are on it,
    from its lower left; `colours` (triangles, 3, 4) count where there is none, as their mean. A picture that needs no
    other beside it stays as it is.
    """
    down = np.stack([uv[..., 0], 1 - uv[..., 1]], axis=-1)
    if len(textures) == 1 and (which == 0).all() and _alone(textures[0], down):
        return textures[0].image, uv
    pieces = []
    of_textures = [which == number for number in range(len(textures))]
    for tiled, own in zip(textures, of_textures, strict=True):
        down[own] = _near(tiled, down[own])
    spans = [_span(tiled, down[own]) for tiled, own in zip(textures, of_textures, strict=True)]
    wanted = sum(_area(tiled, low, high) for tiled, (low, high) in zip(textures, spans, strict=True))
    scale = min(1.0, (MOST_PIXELS / wanted) ** 0.5)
    for tiled, (low, high) in zip(textures, spans, strict=True):
        pieces.append(_Piece(_shown(tiled, low, high, scale), low, high))
    bare = which < 0
    if bare.any():
        patches, down[bare] = _patches(means(colours[bare])[:, :3])
        pieces.append(patches)
        of_textures.append(bare)
    picture = _packed(pieces)
    for piece, own in zip(pieces, of_textures, strict=True):
        down[own] = piece.places(down[own])
    down /= picture.size
    return picture, np.stack([down[..., 0], 1 - down[..., 1]], axis=-1)


def _alone(tiled: Tiled, down: Floats) -> bool:
    """Return whether viewers show the picture as it should be: they repeat it on all sides."""
    return (tiled.across, tiled.down) == ("wrap", "wrap") or bool((down >= 0).all() and (down <= 1).all())


def _near(tiled: Tiled, at: Floats) -> Floats:
    """Return corners of triangles (n, 3, 2), each triangle moved over whole repetitions to where the picture begins."""
    moved = at.copy()
    for axis, style in enumerate((tiled.across, tiled.down)):
        period = {"wrap": 1, "mirror": 2}.get(style)
        if period:
            first = at[..., axis].min(axis=1, keepdims=True)
            moved[..., axis] -= period * np.floor((first + 1e-6) / period)
    return moved


def _span(tiled: Tiled, at: Floats) -> tuple[Floats, Floats]:
    """Return the lowest and highest point of the plane that corners are at, on the borders of pixels."""
    size = np.array(tiled.image.size)
    first = np.floor(at.min(axis=(0, 1)) * size + 1e-6)
    last = np.maximum(np.ceil(at.max(axis=(0, 1)) * size - 1e-6), first + 1)
    return first / size, last / size


def _area(tiled: Tiled, low: Floats, high: Floats) -> float:
    return float(np.prod((high - low) * tiled.image.size))


def _shown(tiled: Tiled, low: Floats, high: Floats, scale: float) -> Colours:
    """Return the pixels (height, width, 3) of the plane from `low` to `high`, with a rim."""
    image = tiled.image
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
    lines = []
    for axis, style in enumerate((tiled.across, tiled.down)):
        length = high[axis] - low[axis]
        count = int(np.clip(round(length * tiled.image.size[axis] * scale), 1, _LONGEST))
        middles = low[axis] + (np.arange(count) + 0.5) / count * length
        lines.append(_folded(np.floor(middles * image.size[axis]).astype(np.int64), image.size[axis], style))
    shown = np.asarray(image)[lines[1]][:, lines[0]]
    return np.pad(shown, ((_RIM, _RIM), (_RIM, _RIM), (0, 0)), mode="edge")


def _folded(numbers: Numbers, side: int, style: str) -> Numbers:
    """Return which of `side` pixels is at places of a line that goes on at both ends."""
    if style == "wrap":
        return numbers % side
    if style == "mirror":
        there = numbers % (2 * side)
        return np.asarray(np.minimum(there, 2 * side - 1 - there))
    return numbers.clip(0, side - 1)


def _patches(colours: Colours) -> tuple[_Piece, Floats]:
    """Return the distinct ones of colours (n, 3) as a piece, and where the corners of each triangle are on it (n, 3, 2)."""
    distinct, number = np.unique(colours, axis=0, return_inverse=True)
    if len(distinct) > _MOST_COLOURS:
        distinct, number = np.unique(colours & 0xF8 | 4, axis=0, return_inverse=True)
    number = number.reshape(-1)
    across = int(np.ceil(len(distinct) ** 0.5))
    rows = -(-len(distinct) // across)
    field = np.zeros((rows * across, 3), dtype=np.uint8)
    field[: len(distinct)] = distinct
    pixels = field.reshape(rows, across, 3).repeat(_PATCH, axis=0).repeat(_PATCH, axis=1)
    pixels = np.pad(pixels, ((_RIM, _RIM), (_RIM, _RIM), (0, 0)), mode="edge")
    middles = np.stack([number % across, number // across], axis=1) + 0.5
    return _Piece(pixels, np.zeros(2), np.array([across, rows], dtype=float)), np.repeat(middles[:, None], 3, axis=1)


def _packed(pieces: list[_Piece]) -> Image.Image:
    """Return the pieces in one picture, in rows from the highest to the lowest; each knows then where it is."""
    area = sum(piece.pixels.shape[0] * piece.pixels.shape[1] for piece in pieces)
    width = max(int(area**0.5), *(piece.pixels.shape[1] for piece in pieces), 1)
    left = top = height = 0
    for piece in sorted(pieces, key=lambda one: -one.pixels.shape[0]):
        if left + piece.pixels.shape[1] > width:
            left, top, height = 0, top + height, 0
        piece.left, piece.top = left, top
        left, height = left + piece.pixels.shape[1], max(height, piece.pixels.shape[0])
    whole: Colours = np.zeros((top + height, width, 3), dtype=np.uint8)
    for piece in pieces:
        high, wide = piece.pixels.shape[:2]
        whole[piece.top : piece.top + high, piece.left : piece.left + wide] = piece.pixels
    return Image.fromarray(whole)
