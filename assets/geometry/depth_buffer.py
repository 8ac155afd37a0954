"""Which triangle is seen through each pixel, by a depth buffer in numpy: for machines without a wheel of Embree."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FRAGMENTS = 4_000_000  # at most so many candidate pixels in memory at once


def nearest(corners: Floats, side: int) -> NDArray[np.int64]:
    """Return, for each pixel of a picture `side` wide, the triangle that is nearest to the camera, -1 for none.

    `corners` (n, 3, 3) are in pixels, y down; the camera looks along -z.
    """
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
