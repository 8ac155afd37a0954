"""Folders to work in are gone afterwards, those of killed processes too."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobroom.sandbox.folders import working_folder

HOLD = """
import sys
from pathlib import Path
from jobroom.sandbox.folders import working_folder
with working_folder(Path(sys.argv[1]), "held-") as folder:
    (folder / "half").write_text("written")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_gone_with_its_block(tmp_path):
    def fail(root):
        with working_folder(root, "a-") as folder:
            (folder / "file").touch()
            raise ValueError(folder.name)

    with pytest.raises(ValueError, match=r"^a-"):
        fail(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_one_that_a_process_works_in_stays_and_goes_once_it_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        held = tmp_path / other.stdout.readline().strip().rsplit("/", 1)[1]
        with working_folder(tmp_path):
            assert (held / "half").exists()
        os.kill(other.pid, signal.SIGKILL)
    assert (held / "half").exists()
    with working_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_files_beside_the_folders_and_links_stay(tmp_path):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "elsewhere").symlink_to(tmp_path.parent)
    with working_folder(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "notes.txt"]


def test_many_at_once_never_clear_each_other_away(tmp_path):
    together = threading.Barrier(8)

    def work(number: int) -> bool:
        together.wait(20)
        for _ in range(20):
            with working_folder(tmp_path) as folder:
                (folder / str(number)).touch()
                if [path.name for path in folder.iterdir()] != [str(number)]:
                    return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert list(tmp_path.iterdir()) == []
