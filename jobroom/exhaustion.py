"""Recognises errors of a server that is full or busy, and adds the remedy to the message of a full one."""

import sqlite3

from django.db import OperationalError

_DISK_OF_REDIS = "Redis cannot write to its disk and takes nothing more. Free space on the disk of its data folder."
_SENTENCES = {
    "used memory > 'maxmemory'": (
        "Redis is out of memory and takes nothing more. Raise its maxmemory, or free some: purge a queue that no one "
        "serves, or let a recorder read the events."
    ),
    "MISCONF": _DISK_OF_REDIS,
    "Errors writing to the AOF file": _DISK_OF_REDIS,
    "No space left on device": "The disk is full. Free space on the disk of the database and of the files (MEDIA_ROOT).",
    "database or disk is full": "The disk of the database is full. Free space on it, or move the database.",
    "could not extend file": "The disk of the database is full. Free space on the database's server.",
    "could not write to file": "The disk of the database is full. Free space on the database's server.",
}


def names_remedy(text: str) -> bool:
    """Return whether the text is such a sentence: other advice beside it would mislead."""
    return text in _SENTENCES.values()


def sentence(error: BaseException) -> str:
    """Return what to do about an error of a server without room, or about what was raised from one; empty for others."""
    found: BaseException | None = error
    while found is not None:
        text = str(found)
        if remedy := next((remedy for sign, remedy in _SENTENCES.items() if sign in text), ""):
            return remedy
        found = found.__cause__
    return ""


def is_busy(error: BaseException) -> bool:
    """Return whether the database is busy or does not answer.

    SQLite has the same class for a mistake in a statement, such as a table that no migration has made: no one is to wait for that.
    """
    if not isinstance(error, OperationalError):
        return False
    return getattr(error.__cause__, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR
