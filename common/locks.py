"""Interim."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class ExclusiveLock:
    pass


@contextmanager
def redis_lock(lock_id: str, blocking: bool = False, expire: bool = True) -> Iterator[bool]:
    yield True


class exclusive_task:
    def __init__(
        self, task_name: str, lock_id: Any, blocking: bool = False, block_expire: bool = True, **kw: Any
    ) -> None:
        self.task_name = task_name

    def __call__(self, run: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(run)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return run(*args, **kwargs)

        return wrapped
