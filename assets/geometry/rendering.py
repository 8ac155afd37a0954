"""Pictures of a mesh without a screen: a depth buffer in numpy, lit from the camera."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

# Where the camera stands: (degrees around the vertical axis, degrees above the ground).
VIEWS = {"front": (0, 0), "side": (90, 0), "top": (0, 90), "corner": (35, 25)}
_OVERSAMPLE = 2
_FRAGMENTS = 4_000_000  # at most so many candidate pixels in memory at once
_COLOUR = np.array([138.0, 156.0, 178.0])


def rotation(around: float, above: float) -> Floats:
    """Return the 3x3 matrix that turns the mesh before a camera which looks along -z, y up; angles in degrees."""
    a, b = np.radians([around, above])
    turn = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return np.asarray(tilt @ turn, dtype=float)


def render(vertices: Floats, faces: NDArray[np.int64], view: str, pixels: int = 512) -> Image.Image:
    """Return a square RGBA picture, `pixels` wide, of the mesh seen from `view` (a key of VIEWS), background clear."""
    side = pixels * _OVERSAMPLE
    points = vertices @ rotation(*VIEWS[view]).T
    low, high = points.min(axis=0), points.max(axis=0)
    scale = 0.9 * side / max(float((high - low)[:2].max()), 1e-12)
    screen = (points - (low + high) / 2) * scale
    screen[:, 0] += side / 2
    screen[:, 1] = side / 2 - screen[:, 1]
    corners = screen[faces]
    nearest = _depth_buffer(corners, side)
    picture = Image.fromarray(_shade(corners, nearest, side))
    return picture.resize((pixels, pixels), Image.Resampling.LANCZOS)


def _depth_buffer(corners: Floats, side: int) -> NDArray[np.int64]:
    """Return, for each pixel, the number of the triangle that is nearest to the camera, -1 for none."""
    low = np.floor(corners[:, :, :2].min(axis=1)).astype(np.int64).clip(0, side - 1)
    high = np.ceil(corners[:, :, :2].max(axis=1)).astype(np.int64).clip(0, side - 1)
    extent = (high - low).max(axis=1) + 1
    depth = np.full(side * side, -np.inf)
    owner = np.full(side * side, -1, dtype=np.int64)
    # Triangles of about the same size share one grid of candidate pixels, so that all of numpy's work is in bulk.
    box = 2 ** np.ceil(np.log2(extent)).astype(np.int64)
    for size in np.unique(box):
        members = np.flatnonzero(box == size)
        step = max(1, _FRAGMENTS // int(size) ** 2)
        for start in range(0, len(members), step):
            chunk = members[start : start + step]
            _draw(corners[chunk], low[chunk], chunk, int(size), side, depth, owner)
    return owner


def _draw(
    corners: Floats,
    low: NDArray[np.int64],
    numbers: NDArray[np.int64],
    size: int,
    side: int,
    depth: Floats,
    owner: NDArray[np.int64],
) -> None:
    """Enter triangles whose boxes fit into `size` by `size` pixels into the buffers."""
    grid_y, grid_x = np.divmod(np.arange(size * size), size)
    x = low[:, 0, None] + grid_x
    y = low[:, 1, None] + grid_y
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (corners[:, k].T[:, :, None] for k in range(3))
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = ((x + 0.5 - ax) * (cy - ay) - (cx - ax) * (y + 0.5 - ay)) / area
        v = ((bx - ax) * (y + 0.5 - ay) - (x + 0.5 - ax) * (by - ay)) / area
        inside = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (x < side) & (y < side)
    rows, columns = np.nonzero(inside)
    az, bz, cz = az[rows, 0], bz[rows, 0], cz[rows, 0]
    z = az + u[rows, columns] * (bz - az) + v[rows, columns] * (cz - az)
    pixel = y[rows, columns] * side + x[rows, columns]
    closer = z > depth[pixel]
    pixel, z, rows = pixel[closer], z[closer], rows[closer]
    # Of several on one pixel the last assignment stays: the nearest.
    order = np.argsort(z, kind="stable")
    depth[pixel[order]] = z[order]
    owner[pixel[order]] = numbers[rows[order]]


def _shade(corners: Floats, owner: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
    # From the camera and a little from above left; both sides of a triangle are lit, scans are often open. On the
    # screen y points down, which turns normals over: the absolute value takes care of that too.
    light = np.array([-0.35, -0.5, 0.79])
    brightness = 0.25 + 0.75 * np.abs(normals @ light)
    picture = np.zeros((side * side, 4), dtype=np.uint8)
    seen = owner >= 0
    picture[seen, :3] = (_COLOUR * brightness[owner[seen], None]).clip(0, 255).astype(np.uint8)
    picture[seen, 3] = 255
    return picture.reshape(side, side, 4)


def save(vertices: Floats, faces: NDArray[np.int64], view: str, path: Path, pixels: int = 512) -> None:
    """Write the picture as PNG."""
    render(np.asarray(vertices, dtype=float), np.asarray(faces, dtype=np.int64), view, pixels).save(path, "PNG")
