"""Replaces resources in tests by objects that the test gives."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobroom.resources import allowed_here
from jobroom.resources.access import given

__all__ = ["allowed_here", "use_resource"]


@contextmanager
def use_resource(name: str, value: Any) -> Iterator[Any]:
    """Let `value` be the resource `name` in this process while inside the block; its loader is not called.

    Tasks see it as attribute and argument, and `get()` of the resource gives it. Worker processes that a test starts
    are processes of their own and load what is declared. Raises UnknownResource for a name that no one declared.
    """
    with given({name: value}):
        yield value
