"""Makes 3MF files, and looks at what was made of them."""

import io
import zipfile

import numpy as np
import trimesh
from PIL import Image

from assets.geometry import colours

CORE, MATERIAL, PRODUCTION = (
    "http://schemas.microsoft.com/3dmanufacturing/" + name
    for name in ("core/2015/02", "material/2015/02", "production/2015/06")
)


def model(resources, build=""):
    return (
        f'<model xmlns="{CORE}" xmlns:m="{MATERIAL}" xmlns:p="{PRODUCTION}">'
        f"<resources>{resources}</resources><build>{build}</build></model>"
    )


def three_mf(path, resources, build='<item objectid="9"/>', others=None):
    """Write a 3MF file with these resources, and others by their name: bytes as they are, or resources of a part."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("3D/3dmodel.model", model(resources, build))
        for name, content in (others or {}).items():
            archive.writestr(name, content if isinstance(content, bytes) else model(content))
    return path


# A tetrahedron: its corners, and its triangles with what is said of each.
CORNERS = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in [(0, 0, 0), (4, 0, 0), (0, 4, 0), (0, 0, 4)])


def solid(number, said, of_all=""):
    corners = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
    triangles = (
        f'<triangle v1="{a}" v2="{b}" v3="{c}" {text}/>' for (a, b, c), text in zip(corners, said, strict=True)
    )
    return (
        f'<object id="{number}" {of_all}><mesh><vertices>{CORNERS}</vertices>'
        f"<triangles>{''.join(triangles)}</triangles></mesh></object>"
    )


MATERIALS = (
    '<basematerials id="1"><base name="Red" displaycolor="#FF0000"/><base name="Blue" displaycolor="#0000FF80"/></basematerials>'
    '<m:colorgroup id="2"><m:color color="#00FF00"/><m:color color="#FFFF00FF"/></m:colorgroup>'
)


RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)


def picture(left, right, kind="PNG", side=16):
    """Return a picture of two colours: the upper half, and the left half of the lower one, are `left`."""
    image = Image.new("RGB", (side, side), left)
    image.paste(right, (side // 2, side // 2, side, side))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def texture(number, path, coordinates, style=""):
    """Return a texture, and as the next number the group of its coordinates."""
    said = "".join(f'<m:tex2coord u="{u}" v="{v}"/>' for u, v in coordinates)
    return (
        f'<m:texture2d id="{number}" path="{path}" contenttype="image/png" {style}/>'
        f'<m:texture2dgroup id="{number + 1}" texid="{number}">{said}</m:texture2dgroup>'
    )


WHOLE = [(0, 0), (1, 0), (1, 1), (0, 1)]


def cube(said):
    """Return a cube as the object 9; `said` is what its sides, each of two triangles, have of colours."""
    corners = "".join(f'<vertex x="{n & 1}" y="{n >> 1 & 1}" z="{n >> 2}"/>' for n in range(8))
    # Each side from its lower left, seen from outside: -z, +z, -y, +y, -x, +x.
    sides = [(1, 0, 2, 3), (4, 5, 7, 6), (0, 1, 5, 4), (3, 2, 6, 7), (2, 0, 4, 6), (1, 3, 7, 5)]
    triangles = "".join(
        f'<triangle v1="{one[0]}" v2="{one[k]}" v3="{one[k + 1]}" {text.format(second=k, third=k + 1)}/>'
        for one, text in zip(sides, said, strict=True)
        for k in (1, 2)
    )
    return f'<object id="9"><mesh><vertices>{corners}</vertices><triangles>{triangles}</triangles></mesh></object>'


def on(group):
    """Return what a side has that shows the whole picture of a group."""
    return f'pid="{group}" p1="0" p2="{{second}}" p3="{{third}}"'


def seen(mesh, point, outwards):
    """Return the colour (red, green, blue) of the mesh at a point of a side that faces `outwards`."""
    ours = np.flatnonzero(mesh.face_normals @ outwards > 0.9)
    weights = trimesh.triangles.points_to_barycentric(mesh.triangles[ours], np.repeat([point], len(ours), axis=0))
    best = weights.min(axis=1).argmax()
    return tuple(colours.at(mesh, ours[best : best + 1], weights[best : best + 1])[0].round().astype(int))


FRONT = [0, -1, 0]  # y is depth here; the side from (0, 0, 0) to (1, 0, 1)


def shows(mesh, point, outwards, colour):
    """Assert that the mesh has the colour there, about: JPEG is not exact."""
    assert np.abs(np.subtract(seen(mesh, point, outwards), colour)).max() < 12, (point, outwards)


def moved(x):
    return f'transform="1 0 0 0 1 0 0 0 1 {x} 0 0"'


def component(part, number, more=""):
    return f'<component p:path="{part}" objectid="{number}" {more}/>'
