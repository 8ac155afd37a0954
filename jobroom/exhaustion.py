"""Recognises a server without room by what it says, and names the remedy: nothing else about such errors helps anybody."""

_DISK_OF_REDIS = "Redis cannot write to its disk and takes nothing more. Free space on the disk of its data folder."
_SENTENCES = {
    "used memory > 'maxmemory'": (
        "Redis is out of memory and takes nothing more. Raise its maxmemory, or free some: purge a queue that no one "
        "serves, or let a recorder read the events."
    ),
    "MISCONF": _DISK_OF_REDIS,
    "Errors writing to the AOF file": _DISK_OF_REDIS,
    "No space left on device": "The disk is full. Free space on the disk of the data folder (IMAGE_VAR).",
    "database or disk is full": "The disk of the database is full. Free space on it, or move the database.",
    "could not extend file": "The disk of the database is full. Free space on the database's server.",
    "could not write to file": "The disk of the database is full. Free space on the database's server.",
}


def sentence(error: BaseException) -> str:
    """Return what to do about an error of a server without room, empty for any other error."""
    text = str(error)
    return next((remedy for sign, remedy in _SENTENCES.items() if sign in text), "")
