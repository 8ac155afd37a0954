"""Names of places on a page that links of other pages lead to."""

import hashlib


def anchor(kind: str, name: str) -> str:
    """Return the id of the place where something of a kind, such as a lock or a worker, stands; its name may hold anything."""
    return f"{kind}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:10]}"
