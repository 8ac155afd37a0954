"""The colours of a mesh: kept where a step leaves its corners as they are, carried to the nearest corner where not."""

from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from assets.geometry.formats import TEXTURED

Colours = NDArray[np.uint8]

# A place so little beside a texture was rounded there.
_BESIDE = 1e-4


def has_texture(mesh: trimesh.Trimesh) -> bool:
    """Return whether the colours are in a picture that is laid over the mesh."""
    return _visual(mesh).kind == "texture" and getattr(mesh.visual, "uv", None) is not None


def laid_over(mesh: trimesh.Trimesh) -> tuple[NDArray[np.float64], Image.Image] | None:
    """Return the picture that is laid over the mesh, and before it where corners are on it (n, 2), from its lower left."""
    if not has_texture(mesh):
        return None
    material = _visual(mesh).material
    found = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    return (np.asarray(_visual(mesh).uv, dtype=np.float64), found) if isinstance(found, Image.Image) else None


def _of_texture(mesh: trimesh.Trimesh, places: NDArray[np.float64]) -> Any:
    """Return the colours (n, 4) at places of the texture (n, 2), which repeats itself on all sides; trimesh scales it there."""
    outside = (places < -_BESIDE) | (places > 1 + _BESIDE)
    return _visual(mesh).material.to_color(np.where(outside, places % 1, places))


def _visual(mesh: trimesh.Trimesh) -> Any:
    """Return what trimesh keeps of colours: a class of its own for each kind of them."""
    return mesh.visual


def of_corners(mesh: trimesh.Trimesh) -> Colours | None:
    """Return one colour (red, green, blue, alpha) for each corner; None where the file says nothing of colours."""
    visual = _visual(mesh)
    if has_texture(mesh):
        visual = trimesh.visual.ColorVisuals(vertex_colors=_of_texture(mesh, np.asarray(visual.uv)))
    if not visual.defined or visual.kind not in {"vertex", "face"}:
        return None
    colours: Colours = np.asarray(visual.vertex_colors, dtype=np.uint8)
    return colours if len(colours) == len(mesh.vertices) else None


def of_triangles(mesh: trimesh.Trimesh) -> Colours | None:
    """Return the colours (triangles, 3, 4) of the corners of each triangle; None where the file says nothing of colours."""
    visual = _visual(mesh)
    if visual.defined and visual.kind == "face":
        return np.repeat(np.asarray(visual.face_colors, dtype=np.uint8)[:, None], 3, axis=1)
    colours = of_corners(mesh)
    return None if colours is None else colours[mesh.faces]


def carry(source: trimesh.Trimesh, target: trimesh.Trimesh) -> None:
    """Give each corner of `target` the colour of the nearest corner of `source`."""
    colours = of_corners(source)
    if colours is None:
        return
    _, nearest = cKDTree(source.vertices).query(target.vertices)
    target.visual = trimesh.visual.ColorVisuals(target, vertex_colors=colours[nearest])


def fit(mesh: trimesh.Trimesh, file_type: str) -> trimesh.Trimesh:
    """Return the mesh with its colours as `file_type` can hold them.

    A texture becomes one colour for each corner. A GLB has no colours of triangles: each gets corners of its own.
    """
    if file_type == "glb" and _visual(mesh).defined and _visual(mesh).kind == "face":
        return _apart(mesh)
    if not has_texture(mesh) or file_type in TEXTURED:
        return mesh
    plain = mesh.copy()
    colours = of_corners(mesh)
    plain.visual = trimesh.visual.ColorVisuals(plain, vertex_colors=colours)
    return plain


def _apart(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Return the mesh with three corners for each triangle, in its colour."""
    colours = np.repeat(np.asarray(_visual(mesh).face_colors, dtype=np.uint8), 3, axis=0)
    faces = np.arange(3 * len(mesh.faces)).reshape(-1, 3)
    return trimesh.Trimesh(mesh.vertices[mesh.faces.reshape(-1)], faces, vertex_colors=colours, process=False)


def at(mesh: trimesh.Trimesh, triangles: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return red, green and blue (n, 3; 0 to 255) at points of the mesh, None where it has no colours.

    `triangles` (n) are the triangles of the points, `weights` (n, 3) how near each is to their corners; they add up to 1.
    """
    corners, visual = mesh.faces[triangles], _visual(mesh)
    if has_texture(mesh):
        places = np.einsum("nk,nkd->nd", weights, np.asarray(visual.uv)[corners])
        return np.asarray(_of_texture(mesh, places), dtype=np.float64)[:, :3]
    if visual.kind == "face":
        return np.asarray(visual.face_colors, dtype=np.float64)[triangles, :3]
    colours = of_corners(mesh)
    return None if colours is None else np.einsum("nk,nkd->nd", weights, colours[corners, :3].astype(float))
