"""Writes a mesh with its colours or its texture as a 3MF file; the mesh library writes neither.

Formats: 3MF Core Specification 1.3; 3MF Materials and Properties Extension 1.2, 2 (colour groups), 3 and 6 (textures).
"""

import io
import zipfile
from collections.abc import Iterable

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

_CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
_MATERIAL = "http://schemas.microsoft.com/3dmanufacturing/material/2015/02"


def coloured(mesh: trimesh.Trimesh, colours: NDArray[np.uint8]) -> bytes:
    """Return the mesh as a 3MF file with the colours (triangles, 3, 4) of the corners of its triangles."""
    distinct, index = np.unique(colours.reshape(-1, 4), axis=0, return_inverse=True)
    said = (f'<m:color color="#{bytes(one).hex().upper()}"/>' for one in distinct)
    group = f'<m:colorgroup id="1">{"".join(said)}</m:colorgroup>'
    return _archive(_model(mesh, group, index.reshape(-1, 3)), {})


def textured(mesh: trimesh.Trimesh, uv: NDArray[np.float64], image: Image.Image) -> bytes:
    """Return the mesh as a 3MF file with the image laid over it, `uv` (corners, 2) from its lower left."""
    out = io.BytesIO()
    image.save(out, "PNG")
    path = "3D/Textures/texture.png"
    said = (f'<m:tex2coord u="{u!r}" v="{v!r}"/>' for u, v in uv.tolist())
    group = (
        f'<m:texture2d id="3" path="/{path}" contenttype="image/png"/>'
        f'<m:texture2dgroup id="1" texid="3">{"".join(said)}</m:texture2dgroup>'
    )
    relations = _relations(f"/{path}", "3dtexture")
    return _archive(_model(mesh, group, mesh.faces), {path: out.getvalue(), "3D/_rels/3dmodel.model.rels": relations})


def _model(mesh: trimesh.Trimesh, group: str, chosen: NDArray[np.int64]) -> str:
    """Return the model, in which corners of triangles have what `chosen` (triangles, 3) says of the group 1."""
    parts: Iterable[str] = [
        f'<?xml version="1.0" encoding="UTF-8"?><model unit="millimeter" xmlns="{_CORE}" xmlns:m="{_MATERIAL}"><resources>',
        group,
        '<object id="2" type="model" pid="1" pindex="0"><mesh><vertices>',
        *(f'<vertex x="{x!r}" y="{y!r}" z="{z!r}"/>' for x, y, z in mesh.vertices.tolist()),
        "</vertices><triangles>",
        *(
            f'<triangle v1="{a}" v2="{b}" v3="{c}" pid="1" p1="{p}" p2="{q}" p3="{r}"/>'
            for (a, b, c), (p, q, r) in zip(mesh.faces.tolist(), chosen.tolist(), strict=True)
        ),
        '</triangles></mesh></object></resources><build><item objectid="2"/></build></model>',
    ]
    return "".join(parts)


def _archive(model: str, others: dict[str, bytes | str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr("_rels/.rels", _relations("/3D/3dmodel.model", "3dmodel"))
        archive.writestr("3D/3dmodel.model", model)
        for name, content in others.items():
            archive.writestr(name, content)
    return out.getvalue()


_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/>'
    '<Default Extension="png" ContentType="image/png"/></Types>'
)


def _relations(target: str, kind: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Target="{target}" Id="rel0" Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/{kind}"/></Relationships>'
    )
