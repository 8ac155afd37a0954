"""3MF files: what they build, and its colours."""

import zipfile

import numpy as np
import pytest

from assets.geometry import colours, renderer, shapes, threemf, threemf_paints
from assets.geometry.formats import MeshProblem
from assets.tests.files import check, write
from assets.tests.three_mf import (
    BLUE,
    GREEN,
    MATERIALS,
    RED,
    YELLOW,
    component,
    model,
    moved,
    picture,
    solid,
    texture,
    three_mf,
)


def test_a_zip_without_a_model_is_no_3mf(tmp_path):
    path = tmp_path / "a.3mf"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    assert check(path, path.name) == "3mf"
    with pytest.raises(MeshProblem, match="no model in it"):
        shapes.load(path, "3mf")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(MeshProblem, match="damaged"):
        shapes.load(path, "3mf")


def test_materials_and_colour_groups_of_a_3mf_are_read(tmp_path):
    said = ["", 'pid="1" p1="1"', 'pid="2" p1="0"', 'pid="2" p1="7"']
    path = three_mf(tmp_path / "a.3mf", MATERIALS + solid(9, said, 'pid="1" pindex="0"'))
    mesh = shapes.load(path, "3mf")
    red, blue, green = [255, 0, 0, 255], [0, 0, 255, 128], [0, 255, 0, 255]
    assert mesh.visual.face_colors.tolist() == [red, blue, green, list(threemf_paints.PLAIN)]
    # Its triangles keep their colours in a GLB, where corners bear them, and in a 3MF of ours.
    for file_type in ("glb", "3mf"):
        fixed, _ = shapes.repair(mesh)
        back = shapes.load(write(tmp_path / f"b.{file_type}", fixed, file_type), file_type)
        assert sorted(colours.of_triangles(back)[:, 0].tolist()) == sorted(mesh.visual.face_colors.tolist())
        assert (colours.of_triangles(back) == colours.of_triangles(back)[:, :1]).all(), "one colour a triangle"
        assert back.volume == pytest.approx(mesh.volume)
    below = np.asarray(renderer.Studio(mesh).picture("front", 64)).astype(int)
    assert len({tuple(pixel) for pixel in below[below[..., 3] > 250][:, :3] // 64}) > 1


# One corner is yellow, the others green.
SHADED = [
    'pid="2" p1="0" p2="0" p3="1"',
    'pid="2" p1="0" p2="1" p3="0"',
    'pid="2" p1="0"',
    'pid="2" p1="1" p2="0" p3="0"',
]


def test_a_3mf_s_corners_have_colours_where_triangles_agree(tmp_path):
    mesh = shapes.load(three_mf(tmp_path / "a.3mf", MATERIALS + solid(9, SHADED)), "3mf")
    assert mesh.visual.kind == "vertex"
    assert colours.of_corners(mesh)[:, 0].tolist() == [0, 255, 0, 0]


def test_each_object_of_a_3mf_has_its_own_colours_wherever_it_is_built(tmp_path):
    objects = solid(9, [""] * 4, 'pid="1" pindex="0" name="Body1"') + solid(
        8, [""] * 4, 'pid="2" pindex="0" name="Body1"'
    )
    build = '<item objectid="8" transform="1 0 0 0 1 0 0 0 1 10 0 0"/><item objectid="9"/>'
    mesh = shapes.load(three_mf(tmp_path / "a.3mf", MATERIALS + objects, build), "3mf")
    of_corners = colours.of_corners(mesh)
    far = mesh.vertices[:, 0] >= 10
    assert (of_corners[far] == [0, 255, 0, 255]).all()
    assert (of_corners[~far] == [255, 0, 0, 255]).all()


@pytest.mark.parametrize(
    "said",
    ['pid="77" p1="0"', 'pid="1" p1="-1"', 'pid="1" p1="2"', 'pid="1" p1="x"', 'pid="1" p1="99999999999999999999"'],
)
def test_colours_that_a_3mf_does_not_have_are_plain(tmp_path, said):
    mesh = shapes.load(three_mf(tmp_path / "a.3mf", MATERIALS + solid(9, [said] * 4)), "3mf")
    assert {tuple(row) for row in colours.of_corners(mesh).tolist()} == {threemf_paints.PLAIN}


def test_a_3mf_without_colours_has_none(tmp_path):
    mesh = shapes.load(three_mf(tmp_path / "a.3mf", solid(9, [""] * 4)), "3mf")
    assert colours.of_corners(mesh) is None
    assert colours.of_triangles(mesh) is None


def test_a_3mf_cannot_make_us_read_other_files(tmp_path):
    path = tmp_path / "a.3mf"
    (tmp_path / "secret").write_text("1")
    evil = f'<!DOCTYPE model [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]><model><resources><object id="1"><mesh><vertices><vertex x="&x;" y="0" z="0"/></vertices><triangles><triangle v1="0" v2="0" v3="0"/></triangles></mesh></object></resources><build><item objectid="1"/></build></model>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("3D/3dmodel.model", evil)
    with pytest.raises(MeshProblem):
        shapes.load(path, "3mf")


def test_comments_do_not_count_as_colours(tmp_path):
    group = (
        '<m:colorgroup id="1"><!-- red --><m:color color="#FF0000"/><?why?><m:color color="#0000FF"/></m:colorgroup>'
    )
    mesh = shapes.load(three_mf(tmp_path / "a.3mf", group + solid(9, [""] * 4, 'pid="1" pindex="1"')), "3mf")
    assert {tuple(row) for row in colours.of_corners(mesh).tolist()} == {(0, 0, 255, 255)}


def test_objects_in_other_parts_are_read_once_each_with_their_colours(tmp_path):
    """As slicers write them: in each part the numbers begin at one again, and one part has several objects."""
    others = {
        "3D/Objects/one.model": MATERIALS
        + solid(9, [""] * 4, 'pid="2" pindex="0"')
        + solid(8, [""] * 4, 'pid="1" pindex="0"'),
        "3D/Objects/two.model": texture(1, "/a.png", [(0.9, 0.1)]) + solid(9, [""] * 4, 'pid="2" pindex="0"'),
        "a.png": picture(RED, BLUE),
    }
    parts = (
        component("/3D/Objects/one.model", 9)
        + component("/3D/Objects/one.model", 8, moved(10))
        + component("/3D/Objects/one.model", 8, moved(20))
        + component("/3D/objects/TWO.model", 9, moved(30))
    )
    build = f'<item objectid="9" {moved(100)}/><item p:path="/3D/Objects/two.model" objectid="9" {moved(200)}/>'
    resources = f'<object id="9"><components>{parts}</components></object>'
    mesh = shapes.load(three_mf(tmp_path / "a.3mf", resources, build, others), "3mf")
    facts = shapes.inspect(mesh)
    assert (facts["faces"], facts["pieces"], facts["duplicate_faces"], facts["unread"]) == (5 * 4, 5, 0, [])
    fixed, _ = shapes.repair(mesh)
    for one in (fixed, shapes.load(write(tmp_path / "b.glb", fixed, "glb"), "glb")):
        of_corners = colours.of_corners(one)[:, :3]
        for start, colour in ((100, GREEN), (110, RED), (120, RED), (130, BLUE), (200, BLUE)):
            inside = (one.vertices[:, 0] >= start) & (one.vertices[:, 0] <= start + 4)
            assert inside.any()
            assert (of_corners[inside] == colour).all(), start


def test_a_mirrored_component_is_not_turned_inside_out(tmp_path):
    parts = '<object id="8"><components><component objectid="9" transform="-1 0 0 0 1 0 0 0 1 0 0 0"/></components></object>'
    said = ['pid="2" p1="0"', 'pid="2" p1="1"', 'pid="1" p1="0"', 'pid="1" p1="1"']
    path = three_mf(tmp_path / "a.3mf", MATERIALS + solid(9, said) + parts, '<item objectid="8"/>')
    mesh = shapes.load(path, "3mf")
    assert mesh.volume == pytest.approx(4**3 / 6)
    assert mesh.visual.face_colors[:, :3].tolist() == [list(one) for one in (GREEN, YELLOW, RED, BLUE)]
    path = three_mf(path, MATERIALS + solid(9, SHADED) + parts, '<item objectid="8"/>')
    assert colours.of_corners(shapes.load(path, "3mf"))[:, 0].tolist() == [0, 255, 0, 0]


def test_objects_that_are_not_there_are_said(tmp_path):
    parts = component("/3D/none.model", 1) + component("/../../etc/passwd", 1) + '<component objectid="9"/>'
    resources = solid(9, [""] * 4) + f'<object id="8"><components>{parts}</components></object>'
    mesh = shapes.load(three_mf(tmp_path / "a.3mf", resources, '<item objectid="8"/><item objectid="77"/>'), "3mf")
    facts = shapes.inspect(mesh)
    assert (facts["faces"], facts["unread"]) == (4, ["Objects that the file names and does not have: 3."])


def test_components_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(threemf, "MOST_COPIES", 6000)

    def nested(number, *within):
        said = "".join(f'<component objectid="{one}"/>' for one in within)
        return f'<object id="{number}"><components>{said}</components></object>'

    path = three_mf(tmp_path / "a.3mf", nested(1, 2) + nested(2, 1), '<item objectid="1"/>')
    with pytest.raises(MeshProblem, match="contains itself"):
        shapes.load(path, "3mf")
    path = three_mf(path, "".join(nested(n, n + 1, n + 1) for n in range(60)), '<item objectid="0"/>')
    with pytest.raises(MeshProblem, match="more than 6,000"):
        shapes.load(path, "3mf")
    path = three_mf(path, "".join(nested(n, n + 1) for n in range(5000)), '<item objectid="0"/>')
    with pytest.raises(MeshProblem, match="damaged"):
        shapes.load(path, "3mf")


def test_corners_of_one_object_are_not_those_of_another(tmp_path):
    wrong = solid(8, [""] * 4).replace('v3="3"', 'v3="4"')
    path = three_mf(tmp_path / "a.3mf", wrong + solid(9, [""] * 4), '<item objectid="8"/><item objectid="9"/>')
    with pytest.raises(MeshProblem, match="corners that do not exist"):
        shapes.load(path, "3mf")


def test_a_document_type_is_refused(tmp_path):
    text = '<!DOCTYPE model [<!ENTITY a "aaaaaaaa">]>' + model(solid(9, [""] * 4), '<item objectid="9"/>')
    with zipfile.ZipFile(tmp_path / "a.3mf", "w") as archive:
        archive.writestr("3D/3dmodel.model", text)
    with pytest.raises(MeshProblem, match="document type"):
        shapes.load(tmp_path / "a.3mf", "3mf")
