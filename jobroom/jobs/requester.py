"""The person whose rights count for code that is called within a check, such as choices and files that are loaded."""

import contextlib
import contextvars
from collections.abc import Iterator

from jobroom.users import User

_asking: contextvars.ContextVar[User | None] = contextvars.ContextVar("asking", default=None)


@contextlib.contextmanager
def asked_by(user: User | None) -> Iterator[None]:
    """While inside, only what `user` may have is there; None may have everything."""
    token = _asking.set(user)
    try:
        yield
    finally:
        _asking.reset(token)


def who_asks() -> User | None:
    """Return the person whose rights count now; None where the machine itself reads, as a worker does."""
    return _asking.get()
