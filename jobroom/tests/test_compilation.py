"""In a fresh clone one process compiles what all of a run import, and the others wait for it."""

import sys
import threading

import pytest
from _pytest.assertion.rewrite import PYC_TAIL, get_cache_dir

from jobroom.testing import compilation
from jobroom.testing.compilation import Turn


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Four files with tests, none of which pytest has rewritten."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    found = [tmp_path / f"test_{number}.py" for number in range(4)]
    for file in found:
        file.touch()
    get_cache_dir(found[0]).mkdir()
    return found


def rewrite(file):
    (get_cache_dir(file) / f"{file.stem}{PYC_TAIL}").touch()


def test_it_is_worth_it_when_most_files_are_new(files, monkeypatch):
    assert compilation.needed(files)
    rewrite(files[0])
    assert compilation.needed(files)
    rewrite(files[1])
    assert not compilation.needed(files)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # no one would find what the first has compiled
    assert not compilation.needed(files[2:])


def test_the_others_wait_for_the_first_alone(tmp_path):
    first, others = Turn(tmp_path).wait(), [Turn(tmp_path) for _ in range(3)]
    threads = [threading.Thread(target=other.wait, daemon=True) for other in others]
    for thread in threads:
        thread.start()
    assert not first.done.exists()
    assert all(thread.is_alive() for thread in threads)
    first.end()
    for thread in threads:
        thread.join(30)
    assert all(other.file is None for other in others)


def test_the_next_one_goes_on_when_the_first_has_died(tmp_path):
    first, second = Turn(tmp_path).wait(), Turn(tmp_path)
    first.file.close()  # as the end of its process does
    assert second.wait().file is not None
    second.end()
    assert second.done.exists()


def test_only_processes_of_a_run_that_began_so_have_a_turn(monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.delenv(compilation.VARIABLE, raising=False)
    assert compilation.turn() is None
    folder = compilation.begin()
    try:
        turn = compilation.turn()
        assert turn.file is not None
        assert compilation.turn() is None  # it is not handed on to what tests start
        turn.end()
    finally:
        compilation.end(folder)
    assert not folder.exists()
