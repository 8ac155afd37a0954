"""What several test processes would all compile is compiled by the first of them; the others wait until it is there.

In a fresh clone no module is compiled: neither the project's, nor the tests that pytest rewrites, nor the libraries, which are
installed without. Of six processes that begin at the same moment, several would compile the same: half as much again as the start of all takes.
"""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import IO

# Where the processes of a run find the lock; not set where there is little to compile.
VARIABLE = "IMAGE_TEST_COMPILATION"


def needed(files: Collection[Path]) -> bool:
    """Return whether pytest has rewritten less than half of the files with tests since they changed, and keeps it."""
    if sys.dont_write_bytecode:
        return False
    from _pytest.assertion.rewrite import PYC_TAIL, get_cache_dir

    made = sum(_is_newer(get_cache_dir(file) / f"{file.stem}{PYC_TAIL}", file) for file in files)
    return 2 * made < len(files)


def _is_newer(made: Path, source: Path) -> bool:
    return made.exists() and made.stat().st_mtime >= source.stat().st_mtime


class Turn:
    """One process compiles, the others wait; if it is killed, the next one goes on."""

    def __init__(self, folder: Path) -> None:
        self.done = folder / "done"
        self.file: IO[str] | None = (folder / "lock").open("w")

    def wait(self) -> "Turn":
        """Wait until another process has compiled everything, or until it is up to this one."""
        if self.file is not None:
            fcntl.flock(self.file, fcntl.LOCK_EX)
            if self.done.exists():
                self.end()
        return self

    def end(self) -> None:
        """Let the others go on: what they import is compiled."""
        if self.file is not None:
            self.done.touch()
            self.file.close()
            self.file = None


def turn() -> Turn | None:
    """Wait for this process's turn; None where nothing is waited for."""
    folder = os.environ.pop(VARIABLE, None)  # nothing to those whom tests start
    return Turn(Path(folder)).wait() if folder and "PYTEST_XDIST_WORKER" in os.environ else None


def begin() -> Path:
    """Make the folder for the lock of a run, and have the processes that are started from now on find it."""
    folder = Path(tempfile.mkdtemp(prefix="image-compilation-"))
    os.environ[VARIABLE] = str(folder)
    return folder


def end(folder: Path) -> None:
    """Forget the run."""
    os.environ.pop(VARIABLE, None)
    shutil.rmtree(folder, ignore_errors=True)
