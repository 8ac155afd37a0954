"""Recognises mesh files by what is in them, not by what they are called."""

import re
from pathlib import Path
from typing import BinaryIO

from jobroom.sandbox.child import FileProblem

FORMATS = {"ply": "PLY", "obj": "OBJ", "stl": "STL", "glb": "GLB", "off": "OFF", "3mf": "3MF"}
TEXTURED = {"glb", "3mf"}  # formats that hold pictures in the same file
_HEAD = 4096
# A 3MF file is a ZIP archive that begins with one of these parts (ECMA-376-2, Open Packaging Conventions).
_PARTS = (b"[content_types].xml", b"_rels/", b"3d/", b"metadata/", b"thumbnail/")
_OBJ_LINE = re.compile(rb"^(#|v |vn |vt |f |o |g |s |mtllib |usemtl |l |p |vp |g$|s$|o$)")


class MeshProblem(FileProblem):
    """The file is no mesh that we can read; the message says what is wrong and what to do."""


def recognise(file: BinaryIO, size: int) -> str | None:
    """Return the format of the file of `size` bytes by how it begins: a key of FORMATS, None when it is none of them."""
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(0)
    if head[:3] == b"ply" and head[3:4] in {b"\n", b"\r"}:
        return "ply"
    if head[:4] == b"glTF":
        return "glb"
    if head[:4] == b"PK\x03\x04" and head[30:60].lower().startswith(_PARTS):
        return "3mf"
    if re.match(rb"(ST)?(C)?(N)?OFF\b", head):
        return "off"
    if _is_binary_stl(head, size) or _is_text_stl(head):
        return "stl"
    return "obj" if _is_obj(head) else None


def _is_binary_stl(head: bytes, size: int) -> bool:
    # 80 bytes of anything, the number of triangles, 50 bytes each.
    return size >= 84 and size == 84 + 50 * int.from_bytes(head[80:84], "little")


def _is_text_stl(head: bytes) -> bool:
    return head.lstrip()[:5].lower() == b"solid" and b"facet" in head


def _is_obj(head: bytes) -> bool:
    if b"\0" in head:
        return False
    lines = [line.strip() for line in head.splitlines() if line.strip()]
    whole = lines[:-1] if len(head) == _HEAD else lines
    known = [line for line in whole if _OBJ_LINE.match(line)]
    return bool(known) and len(known) >= 0.9 * len(whole)


def check(file: BinaryIO, size: int, name: str) -> str:
    """Return the format of the file called `name`; raise MeshProblem if it is empty, unknown or named wrongly."""
    suffix = Path(name).suffix.lower().removeprefix(".")
    known = ", ".join(FORMATS.values())
    if suffix not in FORMATS:
        raise MeshProblem(f"“{suffix or name}” is not a format that we read. Known: {known}.")
    if size == 0:
        raise MeshProblem("The file is empty. Export it again.")
    found = recognise(file, size)
    if found is None:
        raise MeshProblem(f"The file is called .{suffix}, but its content is none of {known}. Export it again.")
    if found != suffix:
        raise MeshProblem(f"The file is called .{suffix}, but its content is {FORMATS[found]}. Rename it to .{found}.")
    return found
