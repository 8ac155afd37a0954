"""Locks between processes on any number of machines; docs/explanation/locks.md tells what they promise."""

from common.locks.decorator import exclusive_task
from common.locks.exclusive import ExclusiveLock, Holder, lost, redis_lock
from common.locks.operator import Broken, break_lock, broken, holder, holders

__all__ = [
    "Broken",
    "ExclusiveLock",
    "Holder",
    "break_lock",
    "broken",
    "exclusive_task",
    "holder",
    "holders",
    "lost",
    "redis_lock",
]
