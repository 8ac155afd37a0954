"""Locks between processes on any number of machines; docs/explanation/locks.md says what they promise."""

from jobroom.locks.decorator import exclusive_task
from jobroom.locks.exclusive import ExclusiveLock, Holder, lost, redis_lock
from jobroom.locks.operator import Broken, break_lock, broken, broken_of, holder, holders, holders_of

__all__ = [
    "Broken",
    "ExclusiveLock",
    "Holder",
    "break_lock",
    "broken",
    "broken_of",
    "exclusive_task",
    "holder",
    "holders",
    "holders_of",
    "lost",
    "redis_lock",
]
