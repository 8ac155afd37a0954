"""What is done to meshes, on shapes whose answers are known."""

import numpy as np
import pytest
import trimesh
from PIL import Image

from assets.geometry import formats, rendering, shapes
from assets.geometry.formats import FORMATS, MeshProblem


@pytest.fixture
def cube():
    return trimesh.creation.box(extents=(1, 2, 3))


def check(path, name):
    with path.open("rb") as file:
        return formats.check(file, path.stat().st_size, name)


def write(path, mesh, file_type):
    shapes.save(mesh, path, file_type)
    return path


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
    front = np.asarray(rendering.render(cube.vertices, cube.faces, "front", 100))
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
    owner = rendering._depth_buffer(corners, 40).reshape(40, 40)
    assert owner[20, 20] == 1
    assert 0 not in owner[12:28, 19:21]


def test_pictures_of_real_scans(tmp_path, shared_mesh):
    mesh = shapes.load(shared_mesh, check(shared_mesh, shared_mesh.name))
    path = tmp_path / "corner.png"
    rendering.save(mesh.vertices, mesh.faces, "corner", path, 128)
    picture = np.asarray(Image.open(path))
    assert picture.shape == (128, 128, 4)
    assert 0.05 < (picture[:, :, 3] > 0).mean() < 0.9
    assert picture[:, :, 0].std() > 5
