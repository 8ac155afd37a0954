"""The colours of a 3MF file, which the mesh library neither reads nor writes.

Formats: 3MF Core Specification 1.3, 4.1.4 and 5.1 (base materials); 3MF Materials and Properties Extension 1.2, 3 (colour
groups). Colours of the model's own part are read; textures, mixtures, and objects in other parts have none.
"""

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from lxml import etree
from numpy.typing import NDArray

Colours = NDArray[np.uint8]

# Of triangles without a colour in a file that has some.
PLAIN = (204, 204, 204, 255)
_CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
_MATERIAL = "http://schemas.microsoft.com/3dmanufacturing/material/2015/02"
_COLOUR = re.compile(r"#([0-9A-Fa-f]{6})([0-9A-Fa-f]{2})?")
# Only what is in the file: no entity, and nothing from anywhere else.
_READING: dict[str, Any] = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}


def model_of(path: Path) -> str | None:
    """Return the name of the part that holds the model, None when there is none."""
    with zipfile.ZipFile(path) as archive:
        return next((name for name in archive.namelist() if name.lower().endswith("3d/3dmodel.model")), None)


def paint(path: Path, parts: Sequence[trimesh.Trimesh]) -> None:
    """Give the parts, in the order of the file's objects, their colours; none where the file does not fit them."""
    with zipfile.ZipFile(path) as archive:
        model = archive.read(model_of(path) or "")
    if b"basematerials" not in model and b"colorgroup" not in model:
        return
    found = _colours(model)
    if [len(colours) for colours in found] != [len(part.faces) for part in parts]:
        return  # objects in other parts of the file
    for part, colours in zip(parts, found, strict=True):
        part.visual = _visual(part, colours)


def _visual(part: trimesh.Trimesh, colours: Colours) -> Any:
    """Return the colours (triangles, 3, 4) of corners as those of corners where all triangles agree, else of triangles."""
    of_corners: Colours = np.zeros((len(part.vertices), 4), dtype=np.uint8)
    of_corners[part.faces] = colours
    if (of_corners[part.faces] == colours).all():
        return trimesh.visual.ColorVisuals(part, vertex_colors=of_corners)
    return trimesh.visual.ColorVisuals(part, face_colors=colours.mean(axis=1).round().astype(np.uint8))


def _colours(model: bytes) -> list[Colours]:
    """Return for each object with triangles the colours of their corners (triangles, 3, 4), in the order of the file."""
    groups: dict[str, list[tuple[int, ...]]] = {}
    found = []
    tags = ("{*}basematerials", "{*}colorgroup", "{*}object")
    for _, element in etree.iterparse(io.BytesIO(model), tag=tags, events=("end",), **_READING):
        if not str(element.tag).endswith("}object"):
            groups[element.get("id", "")] = [_colour(item.get("displaycolor") or item.get("color")) for item in element]
        elif element.find("{*}mesh/{*}triangles") is not None:
            found.append(_of_object(element, groups))
        element.clear()
    return found


def _of_object(element: Any, groups: dict[str, list[tuple[int, ...]]]) -> Colours:
    group, index = element.get("pid", ""), element.get("pindex", "0")
    rows = []
    for triangle in element.iter("{*}triangle"):
        own = triangle.get("pid", group)
        first = triangle.get("p1")
        if first is None:  # as the object says
            rows.append([_chosen(groups.get(group, []), index)] * 3)
            continue
        corners = (first, triangle.get("p2", first), triangle.get("p3", first))
        rows.append([_chosen(groups.get(own, []), corner) for corner in corners])
    return np.asarray(rows, dtype=np.uint8).reshape(-1, 3, 4)


def _chosen(group: Sequence[tuple[int, ...]], index: str) -> tuple[int, ...]:
    number = (
        int(index) if index.isdecimal() and len(index) < 10 else len(group)
    )  # of thousands of digits Python reads none
    return group[number] if number < len(group) else PLAIN


def _colour(text: str | None) -> tuple[int, ...]:
    found = _COLOUR.fullmatch((text or "").strip())
    return tuple(bytes.fromhex(found[1] + (found[2] or "FF"))) if found else PLAIN


def written(mesh: trimesh.Trimesh, colours: Colours) -> bytes:
    """Return the mesh as a 3MF file with the colours (triangles, 3, 4) of the corners of its triangles."""
    distinct, index = np.unique(colours.reshape(-1, 4), axis=0, return_inverse=True)
    chosen = index.reshape(-1, 3).tolist()
    model = "".join(
        [
            f'<?xml version="1.0" encoding="UTF-8"?><model unit="millimeter" xmlns="{_CORE}" xmlns:m="{_MATERIAL}"><resources>',
            '<m:colorgroup id="1">', *(f'<m:color color="#{bytes(one).hex().upper()}"/>' for one in distinct), "</m:colorgroup>",
            '<object id="2" type="model" pid="1" pindex="0"><mesh><vertices>',
            *(f'<vertex x="{x!r}" y="{y!r}" z="{z!r}"/>' for x, y, z in mesh.vertices.tolist()),
            "</vertices><triangles>",
            *(
                f'<triangle v1="{a}" v2="{b}" v3="{c}" pid="1" p1="{p}" p2="{q}" p3="{r}"/>'
                for (a, b, c), (p, q, r) in zip(mesh.faces.tolist(), chosen, strict=True)
            ),
            '</triangles></mesh></object></resources><build><item objectid="2"/></build></model>',
        ]
    )  # fmt: skip
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr("_rels/.rels", _RELATIONS)
        archive.writestr("3D/3dmodel.model", model)
    return out.getvalue()


_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Target="/3D/3dmodel.model" '
    'Id="rel0" Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>'
)
