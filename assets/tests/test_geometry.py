"""What is done to meshes, on shapes whose answers are known."""

import platform

import numpy as np
import pytest
import trimesh
from PIL import Image

from assets.geometry import colours, depth_buffer, obj, rays, renderer, shapes
from assets.geometry.formats import FORMATS, MeshProblem
from assets.tests.files import check, write


@pytest.fixture
def cube():
    return trimesh.creation.box(extents=(1, 2, 3))


@pytest.mark.parametrize("file_type", FORMATS)
def test_each_format_is_recognised_and_survives_the_round_trip(tmp_path, cube, file_type):
    path = write(tmp_path / f"cube.{file_type}", cube, file_type)
    assert check(path, path.name) == file_type
    facts = shapes.inspect(shapes.load(path, file_type))
    assert facts["faces"] == 12
    assert facts["corners_welded"] == 8
    assert facts["watertight"]
    assert facts["volume"] == pytest.approx(6, rel=1e-5)
    assert facts["area"] == pytest.approx(22, rel=1e-5)
    assert facts["genus"] == 0


def test_text_stl_is_recognised(tmp_path, cube):
    path = tmp_path / "cube.stl"
    path.write_text(cube.export(file_type="stl_ascii"))
    assert check(path, path.name) == "stl"
    assert len(shapes.load(path, "stl").faces) == 12


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.png", b"x", "“png” is not a format that we read"),
        ("noext", b"x", "“noext” is not a format"),
        ("a.ply", b"", "The file is empty"),
        ("a.ply", b"<html><script>alert(1)</script>", "its content is none of"),
        ("a.stl", b"ply\nformat ascii 1.0\n", "its content is PLY. Rename it to .ply"),
        ("a.obj", b"\0\0\0\0" * 100, "its content is none of"),
    ],
)
def test_what_is_no_mesh_is_named_for_what_it_is(tmp_path, name, content, says):
    path = tmp_path / "upload"
    path.write_bytes(content)
    with pytest.raises(MeshProblem, match=says):
        check(path, name)


@pytest.mark.parametrize(
    ("file_type", "content", "says"),
    [
        ("ply", b"ply\nformat ascii 1.0\nelement vertex 3\n", "damaged"),
        ("ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n0 0 0\n", "no triangles|damaged"),
        ("off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "do not exist|damaged"),
        ("off", b"OFF\n3 1 0\nnan 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "not numbers"),
        ("glb", b"glTF\x02\0\0\0\xff\xff\xff\xff", "damaged"),
        ("obj", b"v 0 0 0\nv 1 0 0\n", "no triangles|damaged"),
    ],
)  # fmt: skip
def test_a_damaged_file_gets_a_sentence(tmp_path, file_type, content, says):
    path = tmp_path / "upload"
    path.write_bytes(content)
    with pytest.raises(MeshProblem, match=says):
        shapes.load(path, file_type)


def test_an_obj_cannot_make_us_read_other_files(tmp_path):
    secret = tmp_path / "secret.mtl"
    secret.write_text("newmtl a\nmap_Kd ../../../etc/passwd\n")
    path = tmp_path / "a.obj"
    path.write_text("mtllib ../secret.mtl\nmtllib secret.mtl\nusemtl <script>\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    assert len(shapes.load(path, "obj").faces) == 1


def test_a_torus_has_a_hole():
    facts = shapes.inspect(trimesh.creation.torus(3, 1))
    assert facts["genus"] == 1
    assert facts["euler_number"] == 0


def test_double_and_flat_triangles_are_counted_and_removed(cube):
    faces = np.vstack([cube.faces, cube.faces[:2], [[0, 1, 1]]])
    broken = trimesh.Trimesh(cube.vertices, faces, process=False)
    facts = shapes.inspect(broken)
    assert (facts["duplicate_faces"], facts["flat_faces"]) == (2, 1)
    fixed, done = shapes.repair(broken)
    assert done["faces_removed"] == 3
    assert done["watertight"]
    assert len(fixed.faces) == 12


def test_a_hole_is_closed(cube):
    opened = trimesh.Trimesh(cube.vertices, cube.faces[1:], process=False)
    fixed, done = shapes.repair(opened)
    assert not done["watertight_before"]
    assert done["watertight"]
    assert done["faces_added"] == 1
    assert fixed.volume == pytest.approx(6)


def test_simplifying_keeps_the_shape():
    ball = trimesh.creation.icosphere(subdivisions=5)
    small = shapes.simplify(ball, 500)
    assert 400 <= len(small.faces) <= 500
    assert abs(small.volume - ball.volume) / ball.volume < 0.05
    assert shapes.simplify(small, 10_000) is small


@pytest.mark.parametrize(
    ("longest", "unit"), [(0.5, "metres"), (200, "millimetres"), (9000, "unknown"), (0, "unknown")]
)
def test_units_are_a_guess_with_a_reason(longest, unit):
    guess = shapes.guess_units(longest)
    assert guess["guess"] == unit
    assert guess["because"]


def test_a_picture_shows_the_outline(cube):
    front = np.asarray(renderer.Studio(cube).picture("front", 100))
    seen = np.argwhere(front[:, :, 3] > 128)
    height, width = np.ptp(seen, axis=0) + 1
    # 1 wide, 2 high, fitted to nine tenths of the picture.
    assert (width, height) == (pytest.approx(45, abs=2), pytest.approx(90, abs=2))
    assert front[0, 0, 3] == 0


def test_the_nearer_triangle_hides_the_farther():
    near = [[-1, -1, 1], [1, -1, 1], [0, 1, 1]]
    far = [[-1, -1, -1], [1, -1, 0], [0, 1, -1]]
    corners = np.array([far, near], dtype=float) * 10
    corners[:, :, :2] += 20
    owner = depth_buffer.nearest(corners, 40).reshape(40, 40)
    assert owner[20, 20] == 1
    assert 0 not in owner[12:28, 19:21]


def test_pictures_of_real_scans(tmp_path, shared_mesh):
    mesh = shapes.load(shared_mesh, check(shared_mesh, shared_mesh.name))
    path = tmp_path / "corner.png"
    renderer.save(renderer.Studio(mesh), "corner", path, 128)
    picture = np.asarray(Image.open(path))
    assert picture.shape == (128, 128, 4)
    assert 0.05 < (picture[:, :, 3] > 0).mean() < 0.9
    assert picture[:, :, 0].std() > 5


def test_pictures_are_made_by_embree_where_it_has_a_wheel(cube):
    if (platform.system(), platform.machine()) not in {("Linux", "x86_64"), ("Darwin", "arm64")}:
        pytest.skip("no wheel of Embree for this machine: there is the depth buffer alone")
    assert renderer.Studio(cube).scene is not None


def test_rays_and_the_depth_buffer_see_the_same(cube, monkeypatch):
    if not rays.available():
        pytest.skip("no wheel of Embree for this machine: there is the depth buffer alone")
    by_rays = np.asarray(renderer.Studio(cube).picture("front", 64), dtype=float)
    monkeypatch.setattr(rays, "available", lambda: False)
    by_numpy = np.asarray(renderer.Studio(cube).picture("front", 64), dtype=float)
    assert np.abs(by_rays - by_numpy).mean() < 2


def test_the_shadow_lies_on_the_ground_beside_the_mesh(cube):
    if not rays.available():
        pytest.skip("no wheel of Embree for this machine: pictures have no shadow")
    corner = np.asarray(renderer.Studio(cube).picture("corner", 128))
    shadow = (corner[:, :, 3] > 20) & (corner[:, :, 3] < 120) & (corner[:, :, :3].max(axis=2) < 30)
    assert shadow.sum() > 100


def test_a_shadow_ends_before_the_border_of_the_picture():
    if not rays.available():
        pytest.skip("no wheel of Embree for this machine: pictures have no shadow")
    pole = trimesh.creation.box(extents=(0.2, 1, 0.2))
    for view in ("top", "corner"):
        alpha = np.asarray(renderer.Studio(pole).picture(view, 128))[:, :, 3]
        assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) < 8


def test_a_ball_is_shaded_smoothly_and_a_cube_has_edges(cube):
    ball = trimesh.creation.icosphere(subdivisions=2)  # 320 triangles: flat ones would show
    tones = np.asarray(renderer.Studio(ball).picture("front", 128))[54:74, 54:74, 1].astype(int)
    assert np.abs(np.diff(tones, axis=1)).max() <= 3
    middle = np.asarray(renderer.Studio(cube).picture("corner", 128))[:, :, 1].astype(int)
    assert np.abs(np.diff(middle[40:90, 30:100], axis=1)).max() > 15


def test_long_thin_triangles_take_no_longer_than_others():
    """A part of a drawing program: a fan of 40,000 needles, which a depth buffer enters one box at a time."""
    angles = np.linspace(0, 2 * np.pi, 40_000, endpoint=False)
    rim = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)
    around = np.arange(40_000)
    faces = np.stack([np.full(40_000, 40_000), around, np.roll(around, -1)], axis=1)
    disc = trimesh.Trimesh(np.vstack([rim, [[0, 0, 0.3]]]), faces, process=False)
    picture = np.asarray(renderer.Studio(disc).picture("front", 64))
    assert picture[32, 32, 3] == 255


@pytest.mark.parametrize(
    ("given", "faces"),
    [
        (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvn 0 0 1\nf -3/-1/-1 -2/-1/-1 -1/-1/-1\n", [[0, 1, 2]]),
        (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 0 0 1\nv 1 0 1\nv 0 1 1\nf -3//-1 -2//-1 -1//-1\n", [[0, 1, 2], [3, 4, 5]]),
        (b"v 0 0 0\r\nv 1 0 0\r\nv 0 1 0\r\nusemtl red # why\r\nf 1/1 2/1 \\\r\n3/1\r\n", [[0, 1, 2]]),
        (b"  v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\ng\nf 1 2 3 # a comment, f 9 9 9\ns off\nf 2 4 3", [[0, 1, 2], [1, 3, 2]]),
    ],
)  # fmt: skip
def test_an_obj_s_corners_are_read_however_they_are_named(tmp_path, given, faces):
    path = tmp_path / "a.obj"
    path.write_bytes(given)
    assert shapes.load(path, "obj").faces.tolist() == faces


def test_thousands_of_materials_do_not_take_an_obj_apart():
    lines = [b"v %d 0 0\nv %d 1 0\nv %d 0 1\nusemtl m%d\nf -3 -2 -1\n" % (n, n, n, n) for n in range(1000)]
    plain = obj.plain(b"".join(lines))
    assert b"usemtl" not in plain
    assert plain.count(b"f ") == 1000


def coloured(cube):
    mesh = cube.copy()
    mesh.visual.vertex_colors = np.where(mesh.vertices[:, :1] > 0, [[255, 0, 0, 255]], [[0, 0, 255, 255]])
    return mesh


@pytest.mark.parametrize("file_type", ["ply", "obj", "glb", "3mf"])
def test_colours_survive_repair_and_conversion_and_are_in_the_picture(tmp_path, cube, file_type):
    mesh = shapes.load(write(tmp_path / f"a.{file_type}", coloured(cube), file_type), file_type)
    fixed, _ = shapes.repair(mesh)
    back = shapes.load(write(tmp_path / "b.glb", fixed, "glb"), "glb")
    kept = colours.of_corners(back)
    assert (kept[back.vertices[:, 0] > 0] == [255, 0, 0, 255]).all()
    assert (kept[back.vertices[:, 0] < 0] == [0, 0, 255, 255]).all()
    picture = np.asarray(renderer.Studio(back).picture("front", 64)).astype(int)
    assert picture[32, 40, 0] > picture[32, 40, 2] + 50
    assert picture[32, 24, 2] > picture[32, 24, 0] + 50


def test_simplifying_carries_the_colours():
    ball = trimesh.creation.icosphere(subdivisions=4)
    ball.visual.vertex_colors = np.where(ball.vertices[:, 1:2] > 0, [[255, 0, 0, 255]], [[0, 0, 255, 255]])
    small = shapes.simplify(ball, 400)
    top = colours.of_corners(small)[small.vertices[:, 1] > 0.3]
    assert (top == [255, 0, 0, 255]).all()


@pytest.fixture
def textured():
    """Return a square of two triangles, the left half of its picture red, the right half blue."""
    image = Image.new("RGB", (8, 8), (255, 0, 0))
    image.paste((0, 0, 255), (4, 0, 8, 8))
    vertices = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    visual = trimesh.visual.TextureVisuals(uv=[[0, 0], [1, 0], [1, 1], [0, 1]], image=image)
    return trimesh.Trimesh(vertices, [[0, 1, 2], [0, 2, 3], [0, 1, 2]], visual=visual, process=False)


def test_a_texture_survives_into_glb_and_picture(tmp_path, textured):
    mesh = shapes.load(write(tmp_path / "a.glb", textured, "glb"), "glb")
    fixed, done = shapes.repair(mesh)
    assert (len(fixed.faces), done["faces_removed"], done["faces_added"]) == (2, 1, 0)
    back = shapes.load(write(tmp_path / "b.glb", fixed, "glb"), "glb")
    assert colours.has_texture(back)
    picture = np.asarray(renderer.Studio(back).picture("front", 64)).astype(int)
    assert picture[32, 16, 0] > picture[32, 16, 2] + 50
    assert picture[32, 48, 2] > picture[32, 48, 0] + 50
    flat = shapes.load(write(tmp_path / "c.ply", fixed, "ply"), "ply")
    assert colours.of_corners(flat) is not None
