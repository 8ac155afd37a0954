"""Whatever a file does to the child process, the worker lives and says why."""

import json
import os
import re
import struct
import subprocess
import time
from pathlib import Path

import pytest
import trimesh

from assets import sandbox
from assets.exceptions import AssetFailed
from jobroom.events.cancellation import JobCancelled


@pytest.fixture
def cube(tmp_path):
    path = tmp_path / "cube.ply"
    path.write_bytes(trimesh.creation.box().export(file_type="ply"))
    return path


def test_a_verb_answers_with_facts_and_progress(cube, tmp_path):
    seen = []
    answer = sandbox.run("inspect", cube, "ply", tmp_path, progress=lambda *step: seen.append(step))
    assert answer["facts"]["faces"] == 12
    assert seen == [(0, 2, "Reading"), (1, 2, "12 triangles")]


def test_files_are_made_in_the_folder(cube, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    options = {"name": "cube.glb", "format": "glb"}
    with sandbox.reader(out) as child:
        assert child.run("convert", cube, "ply", options)["files"] == ["cube.glb"]
        pictures = child.run("pictures", cube, "ply", {"pixels": 64})["files"]
    assert (out / "cube.glb").read_bytes()[:4] == b"glTF"
    assert pictures == ["front.png", "side.png", "top.png", "corner.png"]
    assert all((out / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for name in pictures)


def test_a_damaged_file_is_a_sentence(tmp_path):
    path = tmp_path / "x.ply"
    path.write_bytes(b"ply\nformat ascii 1.0\nelement vertex 3\n")
    with pytest.raises(AssetFailed, match="The PLY file is damaged"):
        sandbox.run("inspect", path, "ply", tmp_path)


def test_a_header_that_claims_too_much_cannot_eat_the_machine(tmp_path, settings):
    settings.ASSETS_MEMORY = 700 * 2**20
    path = tmp_path / "bomb.ply"
    path.write_bytes(
        b"ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\nproperty float x\nproperty float y\n"
        b"property float z\nelement face 4000000000\nproperty list uchar int vertex_indices\nend_header\n" + b"\0" * 100
    )
    with pytest.raises(AssetFailed):
        sandbox.run("inspect", path, "ply", tmp_path)


def test_too_little_memory_is_said(tmp_path, settings):
    settings.ASSETS_MEMORY = 600 * 2**20
    path = tmp_path / "big.ply"
    path.write_bytes(trimesh.creation.icosphere(subdivisions=8).export(file_type="ply"))
    with pytest.raises(AssetFailed, match=r"600 MB"):
        sandbox.run("inspect", path, "ply", tmp_path)


def children(script="child.py"):
    listed = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True
    )
    return [line for line in listed.stdout.splitlines() if script in line]


def test_too_much_time_is_said_and_nothing_stays_behind(cube, tmp_path, settings):
    settings.ASSETS_SECONDS = 0.05
    began = time.monotonic()
    with pytest.raises(AssetFailed, match="took longer"):
        sandbox.run("pictures", cube, "ply", tmp_path)
    assert time.monotonic() - began < 45
    assert children() == []


def test_a_long_silence_is_reported_and_can_be_cancelled(cube, tmp_path, monkeypatch):
    script = tmp_path / "sleeps.py"
    script.write_text('import time\nprint(\'{"progress": [1, 2, "Thinking"]}\', flush=True)\ntime.sleep(60)')
    monkeypatch.setattr(sandbox, "_CHILD", Path(script))
    monkeypatch.setattr("jobroom.sandbox._SIGN_OF_LIFE", 0.5)
    steps = []

    def progress(*step):
        steps.append(step)
        if len(steps) == 2:
            raise JobCancelled('{"by": "ada"}')

    with pytest.raises(JobCancelled):
        sandbox.run("inspect", cube, "ply", tmp_path, progress=progress)
    assert steps[0] == (1, 2, "Thinking")
    assert re.fullmatch(r"Thinking, \d+ s", steps[1][2])
    assert children("sleeps.py") == []


def test_a_child_that_dies_says_so(cube, tmp_path, monkeypatch):
    script = tmp_path / "dies.py"
    script.write_text("import os, sys; sys.stderr.write('Segmentation fault\\n'); sys.stderr.flush(); os.abort()")
    monkeypatch.setattr(sandbox, "_CHILD", Path(script))
    with pytest.raises(AssetFailed, match=r"broke the program that reads it \(Segmentation fault\)"):
        sandbox.run("inspect", cube, "ply", tmp_path)


def test_a_child_that_died_before_it_was_asked_says_so_and_leaves_nothing_open(cube, tmp_path, monkeypatch):
    script = tmp_path / "dies.py"
    script.write_text("import sys; sys.exit('no library')")
    monkeypatch.setattr(sandbox, "_CHILD", Path(script))
    with sandbox.reader(tmp_path) as child:
        process = child._session.child
        process.wait(30)
        with pytest.raises(AssetFailed, match="no library"):
            child.run("inspect", cube, "ply", {})
    assert all(pipe.closed for pipe in (process.stdin, process.stdout, process.stderr))


def test_a_child_that_uses_up_its_processor_time_says_so(cube, tmp_path, monkeypatch, settings):
    settings.ASSETS_CPU_SECONDS = 1
    script = tmp_path / "spins.py"
    script.write_text("import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass")
    monkeypatch.setattr(sandbox, "_CHILD", Path(script))
    with pytest.raises(AssetFailed, match="more than 1 s of work"):
        sandbox.run("inspect", cube, "ply", tmp_path)


def glb(**scene) -> bytes:
    """Return a GLB file with that scene and nothing in it."""
    text = json.dumps({"asset": {"version": "2.0"}, **scene}).encode()
    text += b" " * (-len(text) % 4)
    return b"glTF" + struct.pack("<IIII", 2, 20 + len(text), len(text), 0x4E4F534A) + text


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        ({"buffers": [{"byteLength": 36, "uri": "file:///etc/passwd"}]}, "names another file"),
        ({"buffers": [{"byteLength": 4_000_000_000}]}, "is damaged: it ends too early"),
    ],
)
def test_the_reader_s_own_accidents_are_no_text_for_people(tmp_path, scene, words):
    path = tmp_path / "x.glb"
    mesh = {"primitives": [{"attributes": {"POSITION": 0}}]}
    views = [{"buffer": 0, "byteLength": 36}]
    corners = [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}]
    path.write_bytes(glb(meshes=[mesh], bufferViews=views, accessors=corners, nodes=[{"mesh": 0}], **scene))
    with pytest.raises(AssetFailed, match=words) as caught:
        sandbox.run("inspect", path, "glb", tmp_path)
    assert "Error" not in str(caught.value)
    assert "/etc/passwd" not in str(caught.value)
