"""Recognises errors of a full disk or full memory on a server, and adds the remedy to their message."""

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
