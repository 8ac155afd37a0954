"""Did something run inside a transaction? With SQLite no one else can write while one is open, so nothing slow belongs there."""

from typing import Any

import pytest
from django.db import connection


def is_open() -> bool:
    """Return whether code under test has opened a transaction; the one that pytest-django puts around a test is none of it."""
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def noted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[bool]:
    """Return a list that grows with each call of `owner.name`: whether a transaction was open then."""
    function, calls = getattr(owner, name), list[bool]()

    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(is_open())
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, call)
    return calls
