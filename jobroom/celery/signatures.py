"""Which kind of canvas a signature is, by what Celery writes into it."""

from typing import Any


def is_chain(signature: Any) -> bool:
    """Return whether it is a chain: `celery.chain` makes objects of another class than its own."""
    return getattr(signature, "subtask_type", None) == "chain"
