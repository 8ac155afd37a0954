"""Makes files in the data folder readable by their owner only: the database holds sessions, the mails hold links to new passwords.

Where workers run as a user of their own, both users are members of one group, and the folder is for the two of them
(`IMAGE_VAR_GROUP`).
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings as django_settings

# Paths that a message names.
NAMED = 3


def folder() -> Path | None:
    """Return the data folder of an installation that `manage.py up` runs; a project of others may have none."""
    found = getattr(django_settings, "VAR", None)
    return None if found is None else Path(found)


def umask() -> int:
    """Return the permissions that new files must not have."""
    return 0o007 if getattr(django_settings, "VAR_GROUP", False) else 0o077


def set_umask() -> None:
    """Keep what this process and its children write from everyone else; what was stricter stays so."""
    wanted = umask()
    before = os.umask(wanted)
    if before & 0o077 & ~wanted:
        os.umask(before | wanted)


def mend(folder: Path) -> list[Path]:
    """Take from everyone else what lies in `folder`, itself included; return the paths that could not be changed.

    A folder that is closed lets no one reach what lies below it, so its content is looked through only when it was open.
    """
    found = opened(folder)
    return [path for path in found if not _close(path)]


def opened(folder: Path) -> list[Path]:
    """Return what others than the owner may use of the folder: itself, what is in it and, if it is open, all below."""
    if not folder.is_dir():
        return []
    below = _below(folder) if is_open(folder) else _in(folder)
    return [path for path in (folder, *below) if is_open(path)]


def is_open(path: Path) -> bool:
    """Return whether others than the owner may do anything with it; a link says nothing of its own."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return not stat.S_ISLNK(found.st_mode) and bool(stat.S_IMODE(found.st_mode) & umask())


def describe(paths: list[Path]) -> str:
    """Return the first few of the paths, and how many more there are."""
    more = len(paths) - NAMED
    return ", ".join(map(str, paths[:NAMED])) + (f" and {more} more" if more > 0 else "")


def _close(path: Path) -> bool:
    try:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~umask())
    except OSError:
        return not path.exists()
    return True


def _in(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _below(folder: Path) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        yield from (Path(at) / name for name in (*folders, *files))
