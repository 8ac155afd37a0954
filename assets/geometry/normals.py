"""Directions of a surface for shading: smooth where triangles meet at a small angle, sharp at edges."""

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

SMOOTH = float(np.cos(np.radians(32)))  # triangles that meet at a smaller angle belong to one smooth surface


def of_corners(vertices: Floats, faces: Numbers) -> Floats:
    """Return the unit direction of the surface at each corner of each triangle (n, 3, 3).

    Triangles around a corner that belong to one smooth surface share the mean of their directions, weighted by area.
    """
    welded = _weld(vertices)[faces]
    cross = of_triangles(vertices, faces)
    flat = unit(cross)
    surface = _surfaces(welded, flat)
    # One number for each pair of corner and surface.
    pair = welded * (int(surface.max(initial=0)) + 1) + surface[:, None]
    _, number = np.unique(pair.ravel(), return_inverse=True)
    weight = np.repeat(cross, 3, axis=0)
    sums = [np.bincount(number, weight[:, axis]).astype(np.float64) for axis in range(3)]
    total = np.stack(sums, axis=1)
    return np.asarray(unit(total)[number].reshape(-1, 3, 3))


def of_triangles(vertices: Floats, faces: Numbers) -> Floats:
    """Return the direction of each triangle (n, 3), twice as long as it has area."""
    first = vertices[faces[:, 0]]
    return np.asarray(np.cross(vertices[faces[:, 1]] - first, vertices[faces[:, 2]] - first), dtype=np.float64)


def _weld(vertices: Floats) -> Numbers:
    """Return a number for each corner, the same for corners at one place."""
    _, number = np.unique(vertices.round(7), axis=0, return_inverse=True)
    return np.asarray(number, dtype=np.int64).ravel()


def _surfaces(welded: Numbers, flat: Floats) -> Numbers:
    """Return for each triangle the number of the smooth surface to which it belongs."""
    beside = trimesh.graph.face_adjacency(welded)  # type: ignore[no-untyped-call]
    smooth = beside[np.einsum("nk,nk->n", flat[beside[:, 0]], flat[beside[:, 1]]) > SMOOTH]
    ones = np.ones(len(smooth), dtype=bool)
    graph = sparse.coo_matrix((ones, (smooth[:, 0], smooth[:, 1])), shape=(len(welded), len(welded)))
    return np.asarray(sparse.csgraph.connected_components(graph, directed=False)[1], dtype=np.int64)


def unit(directions: Floats) -> Floats:
    """Return the directions with length 1; those without length stay as they are."""
    lengths = np.linalg.norm(directions, axis=-1, keepdims=True)
    return np.asarray(
        np.divide(directions, lengths, out=np.zeros_like(directions), where=lengths > 0), dtype=np.float64
    )
