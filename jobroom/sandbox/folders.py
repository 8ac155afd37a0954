"""Lends folders to work in, and clears away those that killed processes left behind."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def working_folder(root: Path, prefix: str = "") -> Iterator[Path]:
    """Lend a new folder below `root`, which holds nothing else; it is gone with the block.

    A process that is killed cannot clear its folder away. The next one to ask for a folder does: the process that works in
    a folder holds a file lock on it, which ends with that process. `root` may be shared by processes of one machine.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root):
        _clear(root)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
        number = _open_locked(folder)
    try:
        yield folder
    finally:
        # What cannot be deleted now is left to the next who asks: the work itself is done.
        shutil.rmtree(folder, ignore_errors=True)
        os.close(number)


def _clear(root: Path) -> None:
    """Delete the folders below `root` that no living process works in."""
    for path in root.iterdir():
        if not path.is_dir() or path.is_symlink():
            continue
        try:
            number = _open_locked(path)
        except OSError:  # in use, or gone in between
            continue
        shutil.rmtree(path, ignore_errors=True)
        os.close(number)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait for the lock on `folder` and hold it: no one takes a new folder for one that was left behind."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _open_locked(folder: Path) -> int:
    """Return a descriptor of `folder` that holds its lock until it is closed; raise BlockingIOError where another has it."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(number)
        raise
    return number
