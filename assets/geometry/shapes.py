"""Loading, inspecting, repairing, simplifying and converting meshes, on the trimesh library."""

import io
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import trimesh

from assets.geometry import colours, obj, threemf, threemf_writer
from assets.geometry.formats import FORMATS, MeshProblem


def load(path: Path, file_type: str) -> trimesh.Trimesh:
    """Return the triangles in the file with their colours, all parts in one mesh; raise MeshProblem.

    Nothing else is read: no material or texture file that the mesh names.
    """
    try:
        found: Any = threemf.read(path) if file_type == "3mf" else _read(path, file_type)
        mesh = found.to_geometry() if isinstance(found, trimesh.Scene) else found
    except (MemoryError, MeshProblem):
        raise
    except Exception as error:
        raise MeshProblem(f"The {FORMATS[file_type]} file {_why(error)} Export it again.") from error
    if not isinstance(mesh, trimesh.Trimesh) or len(mesh.faces) == 0:
        raise MeshProblem("The file has no triangles: a point cloud or an empty scene. Export it as a mesh.")
    kept = {threemf.UNREAD: mesh.metadata[threemf.UNREAD]} if file_type == "3mf" else {}
    mesh = trimesh.Trimesh(mesh.vertices, mesh.faces, visual=mesh.visual, metadata=kept, process=False)
    if not np.isfinite(mesh.vertices).all():
        raise MeshProblem("Some coordinates are not numbers (NaN or infinite). Clean the mesh where it was made.")
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise MeshProblem("Some triangles name corners that do not exist. Export the file again.")
    return mesh


def _read(path: Path, file_type: str) -> Any:
    with _opened(path, file_type) as file:
        return trimesh.load_mesh(
            file,
            file_type=file_type,
            process=False,
            resolver=None,
            skip_materials=file_type == "obj",
            maintain_order=True,
        )


def _opened(path: Path, file_type: str) -> BinaryIO:
    return io.BytesIO(obj.plain(path.read_bytes())) if file_type == "obj" else path.open("rb")


# What these say is about the file. Other exceptions are accidents of a reader that trusted it, and their texts are about code.
_EXPLAINED = (ValueError, EOFError, UnicodeError, zipfile.BadZipFile)


def _why(error: Exception) -> str:
    """Return what is wrong with a file that could not be read, for the person who uploaded it."""
    text = " ".join(str(error).split()).rstrip(".!")
    if "://" in text:
        return "names another file; only what is in it is read."
    if not isinstance(error, _EXPLAINED) or not text:
        return "is damaged: it ends too early, or what it says of itself does not fit its content."
    return f"is damaged: {text if len(text) <= 200 else f'{text[:200]}…'}."


def inspect(mesh: trimesh.Trimesh) -> dict[str, Any]:
    """Return facts about the mesh; lengths, areas and volumes in the file's own unit, and squares and cubes of it.

    `watertight` and what follows from it are those of the mesh with equal corners welded, as formats such as STL store
    each triangle apart. The genus is (2 - Euler number) / 2 of a closed mesh of one piece (Euler-Poincare formula).
    """
    welded = _bare(mesh)
    welded.merge_vertices()
    ordered = np.sort(welded.faces, axis=1)
    distinct = len(np.unique(ordered, axis=0))
    flat = int((welded.area_faces <= 1e-12 * max(float(welded.area), 1e-300)).sum())
    pieces = int(welded.body_count)
    closed = bool(welded.is_watertight)
    return {
        "vertices": len(mesh.vertices),
        "corners_welded": len(welded.vertices),
        "faces": len(mesh.faces),
        "bounds": np.asarray(mesh.bounds, dtype=float).round(9).tolist(),
        "size": np.asarray(mesh.extents, dtype=float).round(9).tolist(),
        "area": float(mesh.area),
        "volume": float(abs(welded.volume)) if closed else None,
        "watertight": closed,
        "winding_consistent": bool(welded.is_winding_consistent),
        "euler_number": int(welded.euler_number),
        "genus": (2 - int(welded.euler_number)) // 2 if closed and pieces == 1 else None,
        "pieces": pieces,
        "duplicate_faces": len(ordered) - distinct,
        "flat_faces": flat,
        "units": guess_units(float(max(mesh.extents))),
        "unread": mesh.metadata.get(threemf.UNREAD, []),
    }


def guess_units(longest: float) -> dict[str, str]:
    """Return a guess of the unit from the longest side, with the reason: mesh formats but GLB do not say."""
    for bound, unit, why in (
        (0.0, "unknown", "the mesh has no extent"),
        (10.0, "metres", "the longest side is below 10, as of things modelled in metres"),
        (5000.0, "millimetres", "the longest side is between 10 and 5,000, as of parts drawn in millimetres"),
    ):
        if longest <= bound:
            return {"guess": unit, "because": why}
    return {"guess": "unknown", "because": "the longest side is above 5,000"}


def _bare(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Return a copy without colours: with a texture, corners at one place would count as several."""
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def repair(mesh: trimesh.Trimesh) -> tuple[trimesh.Trimesh, dict[str, Any]]:
    """Return the mesh with corners welded, double and flat triangles removed, holes closed, and what was done.

    A mesh with a texture keeps its seams, where one place has two corners, and its holes: nothing says what picture
    would belong there.
    """
    before = len(mesh.vertices), len(mesh.faces), bool(mesh.is_watertight)
    fixed = _with_texture_repaired(mesh) if colours.has_texture(mesh) else _repaired(mesh)
    if len(fixed.faces) == 0:
        raise MeshProblem("Every triangle is flat: nothing is left after the repair.")
    removed = before[1] - min(before[1], fixed.metadata.pop("faces_before_filling"))
    return fixed, {
        "corners_welded": before[0] - len(fixed.vertices),
        "faces_removed": removed,
        "faces_added": len(fixed.faces) - (before[1] - removed),
        "watertight_before": before[2],
        "watertight": _closed(fixed),
    }


def _closed(mesh: trimesh.Trimesh) -> bool:
    if not colours.has_texture(mesh):
        return bool(mesh.is_watertight)
    bare = _bare(mesh)
    bare.merge_vertices()
    return bool(bare.is_watertight)


def _repaired(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    fixed = mesh.copy()
    fixed.merge_vertices()
    fixed.update_faces(fixed.unique_faces() & fixed.nondegenerate_faces())
    fixed.remove_unreferenced_vertices()
    fixed.metadata["faces_before_filling"] = len(fixed.faces)
    trimesh.repair.fix_normals(fixed)  # type: ignore[no-untyped-call]
    painted = fixed.copy() if colours.of_corners(fixed) is not None else None
    trimesh.repair.fill_holes(fixed)
    if painted is not None and len(fixed.faces) != len(painted.faces):
        colours.carry(painted, fixed)
    return fixed


def _with_texture_repaired(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Return the mesh without double and flat triangles, all turned the same way, its texture where it was."""
    bare = _bare(mesh)
    bare.merge_vertices()  # changes no order of triangles
    kept = bare.unique_faces() & bare.nondegenerate_faces()
    bare.update_faces(kept)
    fixed = mesh.copy()
    fixed.update_faces(kept)
    before = bare.faces.copy()
    trimesh.repair.fix_normals(bare)  # type: ignore[no-untyped-call]
    turned = (before != bare.faces).any(axis=1)
    faces = fixed.faces.copy()
    faces[turned] = faces[turned][:, ::-1]
    fixed.faces = faces
    fixed.remove_unreferenced_vertices()
    fixed.metadata["faces_before_filling"] = len(fixed.faces)
    return fixed


def simplify(mesh: trimesh.Trimesh, faces: int) -> trimesh.Trimesh:
    """Return the mesh with about `faces` triangles (quadric error metric, Garland and Heckbert 1997)."""
    if faces >= len(mesh.faces):
        return mesh
    welded = _bare(mesh)
    welded.merge_vertices()
    small = welded.simplify_quadric_decimation(face_count=faces)
    if len(small.faces) == 0:
        raise MeshProblem(f"Nothing is left with {faces} triangles. Ask for more.")
    colours.carry(mesh, small)
    return small


def save(mesh: trimesh.Trimesh, path: Path, file_type: str) -> None:
    """Write the mesh in one of FORMATS."""
    if file_type not in FORMATS:
        raise MeshProblem(f"“{file_type}” is not a format that we write. Known: {', '.join(FORMATS.values())}.")
    if file_type == "3mf" and _written(mesh, path):
        return
    options: dict[str, Any] = {"include_texture": False} if file_type == "obj" else {}
    data: Any = colours.fit(mesh, file_type).export(file_type=file_type, **options)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def _written(mesh: trimesh.Trimesh, path: Path) -> bool:
    """Write the mesh as a 3MF with its texture or colours; return whether it has any."""
    laid = colours.laid_over(mesh)
    if laid is not None:
        path.write_bytes(threemf_writer.textured(mesh, *laid))
        return True
    painted = colours.of_triangles(mesh)
    if painted is not None:
        path.write_bytes(threemf_writer.coloured(mesh, painted))
    return painted is not None
