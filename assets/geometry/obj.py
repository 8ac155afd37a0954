"""Makes a Wavefront OBJ file plain before it is parsed: corners and triangles are all that a single file can give.

Materials and textures lie in other files, which nothing here opens. Without their names the parser does not take the
file apart at each of them, which costs minutes for a file with thousands. Format: Wavefront, "Object Files (.obj)", B1.
"""

import re

# Materials, groups, smoothing, texture corners, normals, lines, points and free-form curves.
_NOT_NEEDED = re.compile(
    rb"^[ \t]*(?:usemtl|mtllib|usemap|maplib|g|o|s|vt|vn|vp|l|p|mg|lod)(?:[ \t][^\n]*)?\n", re.MULTILINE
)
# `7/-3/2` names a corner, its texture corner and its normal: the first counts.
_TEXTURE_AND_NORMAL = re.compile(rb"(?<=[0-9])(?:/-?[0-9]*){1,2}(?=[\s]|$)")
_COMMENT = re.compile(rb"#[^\n]*")
_RELATIVE = re.compile(rb"^[ \t]*f[ \t][^\n]*-", re.MULTILINE)


def plain(data: bytes) -> bytes:
    """Return the OBJ file in `data` with corners and faces alone, each corner named by its number from 1."""
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\\\n", b" ") + b"\n"
    if b"#" in text:
        text = _COMMENT.sub(b"", text)
    text = _TEXTURE_AND_NORMAL.sub(b"", _NOT_NEEDED.sub(b"", text))
    return _absolute(text) if _RELATIVE.search(text) else text


def _absolute(text: bytes) -> bytes:
    """Return `text` with corners counted from the file's beginning; `-1` is the last one before the face."""
    lines, seen = [], 0
    for line in text.split(b"\n"):
        words = line.split()
        if words[:1] == [b"v"]:
            seen += 1
        elif words[:1] == [b"f"] and b"-" in line:
            line = b" ".join([b"f", *(_counted(word, seen) for word in words[1:])])  # noqa: PLW2901 — the same line, rewritten
        lines.append(line)
    return b"\n".join(lines)


def _counted(word: bytes, seen: int) -> bytes:
    return str(seen + 1 + int(word)).encode() if word.startswith(b"-") else word
