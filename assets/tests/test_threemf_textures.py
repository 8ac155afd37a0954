"""Textures of 3MF files: into the GLB, the repaired file and the pictures; and pictures that are none."""

import struct
import zipfile
import zlib

import numpy as np
import pytest
import trimesh
from PIL import Image

from assets.geometry import atlas, colours, pictures, renderer, shapes, threemf_paints
from assets.tests.files import write
from assets.tests.three_mf import (
    BLUE,
    FRONT,
    GREEN,
    MATERIALS,
    RED,
    WHOLE,
    YELLOW,
    cube,
    on,
    picture,
    shows,
    texture,
    three_mf,
)
from assets.workbench import findings


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("file_type", ["glb", "3mf"])
def test_a_texture_survives_the_repair_and_is_in_the_picture(tmp_path, kind, file_type):
    others = {"3D/Textures/Two%20colours.png": picture(RED, BLUE, kind)}
    resources = texture(3, "/3D/Textures/two%20colours.png", WHOLE) + cube([on(4)] * 6)
    mesh = shapes.load(three_mf(tmp_path / "a.3mf", resources, others=others), "3mf")
    assert shapes.inspect(mesh)["unread"] == []
    assert shapes.inspect(mesh)["volume"] == pytest.approx(1)
    fixed, done = shapes.repair(mesh)
    assert done["watertight"]
    back = shapes.load(write(tmp_path / f"b.{file_type}", fixed, file_type), file_type)
    for one in (mesh, back):
        assert colours.has_texture(one)
        shows(one, [0.2, 0, 0.2], FRONT, RED)
        shows(one, [0.8, 0, 0.2], FRONT, BLUE)
        shows(one, [0.8, 0, 0.8], FRONT, RED)
        shows(one, [1, 0.8, 0.2], [1, 0, 0], BLUE)
    if file_type == "3mf":  # other readers find the texture by its relation to the model
        with zipfile.ZipFile(tmp_path / "b.3mf") as archive:
            assert "/3D/Textures/texture.png" in archive.read("3D/_rels/3dmodel.model.rels").decode()
    drawn = np.asarray(renderer.Studio(back).picture("front", 64)).astype(int)  # the side +z, y up
    assert drawn[48, 48, 2] > drawn[48, 48, 0] + 50
    assert drawn[48, 16, 0] > drawn[48, 16, 2] + 50
    assert colours.of_corners(shapes.load(write(tmp_path / "c.ply", fixed, "ply"), "ply")) is not None


@pytest.mark.parametrize(
    ("style", "expected"),
    [  # at three and a quarter, and three and three quarters of the way along u; v stays in the lower half
        ("wrap", (RED, BLUE)),
        ("mirror", (BLUE, RED)),
        ("clamp", (BLUE, BLUE)),
        ("none", (BLUE, BLUE)),
    ],
)
def test_a_texture_goes_on_beside_itself_as_it_says(tmp_path, style, expected):
    far = [(0, 0), (4, 0), (4, 0.4), (0, 0.4)]
    resources = texture(3, "/a.png", far, f'tilestyleu="{style}"') + cube([on(4)] * 6)
    mesh = shapes.load(three_mf(tmp_path / "a.3mf", resources, others={"a.png": picture(RED, BLUE, side=4)}), "3mf")
    for one in (mesh, shapes.load(write(tmp_path / "b.glb", mesh, "glb"), "glb")):
        shows(one, [0.25 / 4, 0, 0.5], FRONT, RED)
        shows(one, [0.75 / 4, 0, 0.5], FRONT, BLUE)
        shows(one, [3.25 / 4, 0, 0.5], FRONT, expected[0])
        shows(one, [3.75 / 4, 0, 0.5], FRONT, expected[1])


@pytest.mark.parametrize("most", [atlas.MOST_PIXELS, 400])
def test_textures_and_colours_of_one_object_share_a_picture(tmp_path, monkeypatch, most):
    monkeypatch.setattr(atlas, "MOST_PIXELS", most)
    resources = (
        MATERIALS
        + texture(3, "/a.png", WHOLE)
        + texture(5, "/b.png", [(7, -2), (8, -2), (8, -1), (7, -1)], 'tilestyleu="mirror"')
        + cube([on(4), on(4), on(6), 'pid="2" p1="0"', "", 'pid="1" p1="1"'])
    )
    others = {"a.png": picture(RED, BLUE), "b.png": picture(GREEN, YELLOW)}
    mesh = shapes.load(three_mf(tmp_path / "a.3mf", resources, others=others), "3mf")
    assert colours.laid_over(mesh)[1].width < 60, "no repetition that no triangle shows"
    for one in (mesh, shapes.load(write(tmp_path / "b.glb", mesh, "glb"), "glb")):
        shows(one, [0.2, 0.2, 1], [0, 0, 1], RED)
        shows(one, [0.8, 0.2, 1], [0, 0, 1], BLUE)
        shows(one, [0.2, 0, 0.2], FRONT, YELLOW)  # mirrored: seven is odd
        shows(one, [0.8, 0, 0.2], FRONT, GREEN)
        shows(one, [0.5, 1, 0.5], [0, 1, 0], GREEN)
        shows(one, [0, 0.5, 0.5], [-1, 0, 0], threemf_paints.PLAIN[:3])
        shows(one, [1, 0.5, 0.5], [1, 0, 0], BLUE)


def test_textures_do_not_run_into_each_other():
    several = [atlas.Tiled(Image.new("RGB", (5, 5), colour)) for colour in (RED, GREEN, BLUE, YELLOW)]
    uv = np.repeat([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]], 4, axis=0)
    which = np.tile(np.arange(4), 2)
    image, places = atlas.laid_out(several, which, uv, np.zeros((8, 3, 4), dtype=np.uint8))
    found = trimesh.visual.color.uv_to_color(places.reshape(-1, 2), image)[:, :3].reshape(8, 3, 3)
    assert (found == np.array([RED, GREEN, BLUE, YELLOW])[which][:, None]).all()


def test_thousands_of_colours_beside_a_texture_stay_near():
    many = np.random.default_rng(1).integers(0, 256, (20_000, 1, 3)).repeat(3, axis=1)
    alike = np.dstack([many, np.full(many.shape[:2], 255)]).astype(np.uint8)
    tiled = atlas.Tiled(Image.new("RGB", (4, 4), RED))
    which = np.array([0] + [-1] * 19_999)
    image, uv = atlas.laid_out([tiled], which, np.zeros((20_000, 3, 2)), alike)
    assert image.width * image.height < 2**20
    found = trimesh.visual.color.uv_to_color(uv[1:, 0], image)[:, :3].astype(int)
    assert np.abs(found - many[1:, 0]).max() <= 4


def with_size(data, width, height):
    """Return a PNG that says to have this many pixels."""
    head = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]


GOOD = picture(RED, BLUE)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        b"",
        b"no picture",
        GOOD[: len(GOOD) // 2],
        picture(RED, BLUE, "GIF"),
        with_size(GOOD, 100_000, 100_000),
        with_size(GOOD, 0, 5),
        GOOD + b"x" * 5000,  # more bytes than allowed below
    ],
)
def test_a_texture_that_is_no_picture_leaves_the_mesh_plain(tmp_path, monkeypatch, bad):
    monkeypatch.setattr(pictures.Budget, "BYTES", 4000)
    others = {} if bad is None else {"a.png": bad}
    path = three_mf(tmp_path / "a.3mf", texture(3, "/a.png", WHOLE) + cube([on(4)] * 6), others=others)
    mesh = shapes.load(path, "3mf")
    assert colours.of_triangles(mesh) is None
    facts = shapes.inspect(mesh)
    assert facts["volume"] == pytest.approx(1)
    assert any("Textures left out: 1 of 1" in line for level, line in findings(facts) if level == "warning")
    # Another texture, and colours, are not lost with it.
    resources = texture(3, "/a.png", WHOLE) + texture(5, "/b.png", WHOLE) + cube([on(4), on(6)] * 3)
    mesh = shapes.load(three_mf(path, resources, others={**others, "b.png": GOOD}), "3mf")
    shows(mesh, [0.8, 0.2, 1], [0, 0, 1], BLUE)
    shows(mesh, [0.8, 0, 0.2], FRONT, threemf_paints.PLAIN[:3])


def test_pictures_of_a_file_have_one_limit_together(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures.Budget, "PIXELS", 300)  # one of 256
    resources = texture(3, "/a.png", WHOLE) + texture(5, "/b.png", WHOLE) + cube([on(4), on(6)] * 3)
    mesh = shapes.load(three_mf(tmp_path / "a.3mf", resources, others={"a.png": GOOD, "b.png": GOOD}), "3mf")
    assert "Textures left out: 1 of 2" in shapes.inspect(mesh)["unread"][0]


def test_a_texture_that_no_triangle_has_is_not_opened(tmp_path):
    path = three_mf(tmp_path / "a.3mf", texture(3, "/a.png", WHOLE) + cube([""] * 6), others={"a.png": b"no picture"})
    assert shapes.inspect(shapes.load(path, "3mf"))["unread"] == []


@pytest.mark.parametrize("said", ['u="x" v="0"', 'u="nan" v="0"', 'u="1e300" v="-1e300"', ""])
def test_places_that_are_none_do_not_matter(tmp_path, said):
    group = texture(3, "/a.png", WHOLE).replace('u="1" v="0"', said)
    mesh = shapes.load(three_mf(tmp_path / "a.3mf", group + cube([on(4)] * 6), others={"a.png": GOOD}), "3mf")
    assert np.isfinite(mesh.visual.uv).all()
