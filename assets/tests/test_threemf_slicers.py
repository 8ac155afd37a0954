"""Colours that slicers keep beside the model of a 3MF: filaments of objects, of parts, and of triangles."""

import json

import numpy as np
import pytest

from assets.geometry import colours, shapes, threemf_paints, threemf_slicers
from assets.geometry.formats import MeshProblem
from assets.geometry.threemf_slicers import covered
from assets.tests.files import write
from assets.tests.three_mf import BLUE, GREEN, MATERIALS, RED, YELLOW, component, moved, solid, three_mf

PLAIN = threemf_paints.PLAIN[:3]
NAMES = ("Metadata/project_settings.config", "Metadata/model_settings.config")
PRUSA = ("Metadata/Slic3r_PE.config", "Metadata/Slic3r_PE_model.config")
SLIC3R = 'xmlns:s="http://schemas.slic3r.org/3mf/2017/06"'
EMPTY = [""] * 4


def filaments(*given):
    """Return the settings of a project with these colours, as Bambu Studio and OrcaSlicer name them."""
    return json.dumps({"filament_colour": list(given), "layer_height": "0.2"}).encode()


THREE = filaments("#FF0000", "#00FF00", "#0000FFFF")


def said(filament):
    return f'<metadata key="extruder" value="{filament}"/>'


def config(*objects):
    return f"<config>{''.join(objects)}<plate><metadata key='plater_id' value='1'/></plate></config>".encode()


def of_object(number, filament, *parts):
    return f'<object id="{number}">{said(filament)}{"".join(parts)}</object>'


def of_part(number, filament):
    return f'<part id="{number}" subtype="normal_part"><metadata key="name" value="x"/>{said(filament)}</part>'


def load(tmp_path, resources, others, build='<item objectid="9"/>'):
    return shapes.load(three_mf(tmp_path / "a.3mf", resources, build, others), "3mf")


def shown(mesh):
    """Return the colour of each triangle; they are in the order of the file."""
    found = colours.of_triangles(mesh)
    return None if found is None else [tuple(one) for one in found[:, 0, :3].tolist()]


def test_parts_have_the_colour_of_their_filament_and_others_that_of_their_object(tmp_path):
    """As Bambu Studio writes it: the shapes in other parts of the file, and an object of components that names them."""
    shapes_of = {"3D/Objects/one.model": solid(1, EMPTY) + solid(2, EMPTY) + solid(3, EMPTY)}
    parts = "".join(component("/3D/Objects/one.model", n, moved(10 * n)) for n in (1, 2, 3))
    resources = f'<object id="8"><components>{parts}</components></object><object id="9"><components>{parts}</components></object>'
    settings = config(of_object(8, 3, of_part(1, 2), of_part(2, 0)), of_object(9, 2, of_part(3, 1)))
    others = {**shapes_of, NAMES[0]: THREE, NAMES[1]: settings}
    mesh = load(tmp_path, resources, others, f'<item objectid="8"/><item objectid="9" {moved(100)}/>')
    of_parts = shown(mesh)[::4]
    assert of_parts == [GREEN, BLUE, BLUE, GREEN, GREEN, RED]
    assert shapes.inspect(mesh)["unread"] == []
    # The repaired mesh keeps them, as it does those of the model.
    fixed, _ = shapes.repair(mesh)
    back = shapes.load(write(tmp_path / "b.3mf", fixed, "3mf"), "3mf")
    assert {RED, GREEN, BLUE} == set(shown(back))


def test_what_the_model_says_of_colours_counts_more(tmp_path):
    corners = ['pid="2" p1="1"', "", 'pid="77" p1="0"', 'paint_color="8" pid="2" p1="1"']
    mesh = load(tmp_path, MATERIALS + solid(9, corners), {NAMES[0]: THREE, NAMES[1]: config(of_object(9, 3))})
    assert shown(mesh) == [YELLOW, BLUE, BLUE, YELLOW]


def test_an_object_of_which_nothing_is_said_has_the_first_filament(tmp_path):
    assert set(shown(load(tmp_path, solid(9, EMPTY), {NAMES[0]: THREE}))) == {RED}


def test_painted_triangles_have_their_own_filament(tmp_path):
    painted = ['paint_color="4"', 'paint_color="8"', 'paint_color="0C"', ""]
    mesh = load(tmp_path, solid(9, painted), {NAMES[0]: THREE, NAMES[1]: config(of_object(9, 2))})
    assert shown(mesh) == [RED, GREEN, BLUE, GREEN]
    assert shapes.inspect(mesh)["unread"] == []


def test_prusaslicer_has_ranges_of_triangles_and_its_own_word_for_paint(tmp_path):
    lines = (
        b'; printer_model = XL\n; extruder_colour = #FF0000;"";#0000FF\n; filament_colour = #FFFF00;#00FF00;#FFFF00\n'
    )
    volumes = (
        '<object id="9" instances_count="1"><metadata type="object" key="extruder" value="3"/>'
        '<volume firstid="0" lastid="0"><metadata type="volume" key="extruder" value="1"/></volume>'
        '<volume firstid="1" lastid="3"><metadata type="volume" key="extruder" value="0"/></volume></object>'
    )
    painted = ["", "", f'{SLIC3R} s:mmu_segmentation="8"', ""]
    mesh = load(tmp_path, solid(9, painted), {PRUSA[0]: lines, PRUSA[1]: config(volumes)})
    assert shown(mesh) == [RED, BLUE, GREEN, BLUE]


def tree(*pieces):
    """Write a triangle in pieces, each a number of a filament or pieces again, from its end."""

    def digits(piece):
        if isinstance(piece, tuple):
            return [len(piece) - 1, *(digit for one in piece for digit in digits(one))]
        return [piece << 2] if piece < 3 else [12, piece - 3]

    return "".join(f"{one:X}" for one in reversed(digits(pieces if len(pieces) > 1 else pieces[0])))


@pytest.mark.parametrize(
    ("code", "shares"),
    [
        ("", {0: 1}), ("0", {0: 1}), ("4", {1: 1}), ("8", {2: 1}), ("0C", {3: 1}), ("1c", {4: 1}), ("EC", {17: 1}), ("0FC", {18: 1}), ("2FFC", {35: 1}),
        ("48403", {0: 0.25, 1: 0.5, 2: 0.25}), (tree(1, 2), {1: 0.5, 2: 0.5}), (tree(1, 2, 3), {1: 0.5, 2: 0.25, 3: 0.25}),
        (tree((1, 1, 1, 2), 3, 3, 2), {1: 0.1875, 2: 0.3125, 3: 0.5}),
    ],
)  # fmt: skip
def test_codes_of_paint(code, shares):
    assert covered(code) == shares


@pytest.mark.parametrize("code", ["x", "3", "C", "44", "FFFFC", "FFFFFFFFFFFFFFFFFFFFFFFFC", "4\n4", "\u0661"])
def test_what_is_no_code(code):
    with pytest.raises((ValueError, StopIteration)):
        covered(code)


def test_a_triangle_of_several_colours_has_the_one_that_covers_most(tmp_path):
    painted = [f'paint_color="{code}"' for code in (tree(3, 2, 2, 2), tree(3, 1, 2), tree(1, 0, 0, 0), "zz")]
    mesh = load(tmp_path, solid(9, painted), {NAMES[0]: THREE, NAMES[1]: config(of_object(9, 3))})
    assert shown(mesh) == [GREEN, BLUE, BLUE, BLUE]
    assert shapes.inspect(mesh)["unread"] == [
        "Triangles painted in several colours: 3. Each has the one that covers most of it.",
        "Triangles whose paint cannot be read: 1. They have the colour of their part.",
    ]


def test_filaments_without_a_colour_leave_their_parts_plain(tmp_path):
    mesh = load(tmp_path, solid(9, ['paint_color="8"', *EMPTY[1:]]), {NAMES[0]: filaments("#FF0000", "red", None)})
    assert shown(mesh) == [PLAIN, RED, RED, RED]
    assert "Filaments without a colour: 1." in shapes.inspect(mesh)["unread"][0]


def test_paint_without_filaments_is_said(tmp_path):
    mesh = load(tmp_path, solid(9, ['paint_color="8"', *EMPTY[1:]]), {})
    assert shown(mesh) is None
    assert shapes.inspect(mesh)["unread"] == ["Painted triangles are plain: the file has no colours of filaments."]


DEEP = b"<config>" + b"<a>" * 200_000
MANY = (
    b"<config>"
    + b"".join(b"<object id='%d'><metadata key='extruder' value='1'/></object>" % n for n in range(100_001))
    + b"</config>"
)
VOLUMES = (
    b"<config><object id='9'>"
    + b"<volume firstid='0' lastid='999999999'><metadata key='extruder' value='2'/></volume>" * 1001
    + b"</object></config>"
)
BOMB = b"<!DOCTYPE c [<!ENTITY a 'aaaaaaaaaa'>]><config>&a;</config>"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (NAMES[0], b"[" * 200_000, "it is damaged"),
        (NAMES[0], b"{", "it is damaged"),
        (NAMES[0], b"\xff\xfe\x00", "it is damaged"),
        (NAMES[0], filaments(*["#FF0000"] * 256), "it has more than 255 filaments"),
        (NAMES[0], b" " * (threemf_slicers.MOST_BYTES + 1), "it is larger than 8 MB"),
        (NAMES[1], DEEP, "its elements lie too deep in each other"),
        (NAMES[1], MANY, "it names more than 100,000 parts"),
        (NAMES[1], BOMB, "it declares a document type"),
        (NAMES[1], b"<config>", "it is damaged"),
        (PRUSA[1], VOLUMES, "an object has more than 1,000 volumes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_that_cannot_be_read_are_a_sentence_and_the_shapes_are_there(tmp_path, name, content, words):
    mesh = load(tmp_path, solid(9, EMPTY), {NAMES[0]: THREE, name: content})
    facts = shapes.inspect(mesh)
    assert facts["faces"] == 4
    assert facts["unread"] == [
        f"Colours of filaments left out: {name} cannot be read ({words}). Save the project again."
    ]


@pytest.mark.parametrize(
    "content",
    [
        b'{"filament_colour": NaN}', b'{"filament_colour": [NaN, Infinity, 7, {}, "#FF00", "#GG0000"]}', b"[]", b"7", b"{}",
    ],
)  # fmt: skip
def test_colours_that_are_none_are_as_if_nothing_was_said(tmp_path, content):
    assert shown(load(tmp_path, solid(9, EMPTY), {NAMES[0]: content})) is None


@pytest.mark.parametrize("filament", ["NaN", "-1", "1e9", "", "\u0661", "9" * 5000, "0"])
def test_numbers_that_are_none_say_nothing(tmp_path, filament):
    assert set(shown(load(tmp_path, solid(9, EMPTY), {NAMES[0]: THREE, NAMES[1]: config(of_object(9, filament))}))) == {
        RED
    }


def test_a_number_that_no_printer_has_is_plain(tmp_path):
    mesh = load(tmp_path, solid(9, EMPTY), {NAMES[0]: THREE, NAMES[1]: config(of_object(9, 1_000_000))})
    assert set(shown(mesh)) == {PLAIN}
    assert "Filaments without a colour: 1." in shapes.inspect(mesh)["unread"][0]


def test_a_code_as_deep_as_it_is_long_is_read_without_recursion():
    """Each digit cuts the piece that is read next in two, and there is always one left to be painted."""
    deep = "4" * 200_001 + "1" * 200_000
    assert list(covered(deep)) == [1]


def test_the_settings_do_not_make_a_damaged_model_readable(tmp_path):
    broken = solid(9, ["", "", "", 'v9="1"']).replace('v1="0"', 'v1="77"')
    with pytest.raises(MeshProblem, match="corners that do not exist"):
        load(tmp_path, broken, {NAMES[0]: THREE})


def test_a_mirrored_part_keeps_its_paint_at_its_triangles(tmp_path):
    painted = ['paint_color="4"', 'paint_color="8"', 'paint_color="0C"', ""]
    item = '<item objectid="9" transform="-1 0 0 0 1 0 0 0 1 0 0 0"/>'
    mesh = load(tmp_path, solid(9, painted), {NAMES[0]: THREE}, item)
    assert shown(mesh) == [RED, GREEN, BLUE, RED]
    assert np.isclose(mesh.volume, 4**3 / 6)
