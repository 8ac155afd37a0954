"""A lock with an owner token, a time to live that a keeper renews, and a fencing number."""

import dataclasses
import logging
import os
import random
import socket
import time
import uuid
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

from jobroom import events, redis
from jobroom.conf import settings
from jobroom.current_task import get_current_task
from jobroom.exceptions import LockBusy, LockLost, RedisUnavailable
from jobroom.locks import names, scripts
from jobroom.locks.renewal import keeping

logger = logging.getLogger(__name__)

SHORTEST_TTL = 0.5
LONGEST_POLL = 0.25

# The locks that objects of this process hold, for `lost`.
_held: "weakref.WeakSet[ExclusiveLock]" = weakref.WeakSet()


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who holds a lock; `since` in seconds since 1970 on the server's clock, `expires_in` in seconds."""

    name: str
    job: str
    task: str
    host: str
    pid: int
    since: float
    fencing: int
    expires_in: float = 0.0


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a lock could not be had: the job that holds it ("" for none) and the server's time, seconds since 1970."""

    job: str
    at: float


def run_script(text: str, keys: Sequence[str], *arguments: Any) -> Any:
    """Run a script on the keys of a lock; raise RedisUnavailable if Redis does not answer."""
    try:
        return redis.evaluate(redis.script(text), keys, arguments)
    except (redis.Error, OSError) as error:
        raise RedisUnavailable(f"The lock {keys[0]} cannot be asked for: {error}") from error


def _running() -> tuple[str, str]:
    """Return id and task of the job that runs in this thread, empty outside a job."""
    task: Any = get_current_task()
    if task is None or task.request.called_directly:
        return "", ""
    return task.request.id or "", task.name


class ExclusiveLock:
    """At most one holder of `name` at a time, over all processes and machines of one Redis.

    `ttl` (seconds) is how long the lock outlives a holder that vanished with its machine; a living holder keeps it for
    as long as it likes. `job` and `task` say who it is; by default the job that runs. One object is one holder: it can
    be taken again after it was released, but not twice at once.
    """

    def __init__(self, name: str, *, ttl: float | None = None, job: str | None = None, task: str | None = None) -> None:
        self.name = names.clean(name)
        self.keys = names.keys(self.name)
        self.ttl = settings.LOCK_TTL if ttl is None else ttl
        if self.ttl < SHORTEST_TTL:
            raise ValueError(f"ttl={self.ttl} is too short for lock {name!r}: at least {SHORTEST_TTL} seconds.")
        running_job, running_task = _running() if job is None or task is None else ("", "")
        self.job = running_job if job is None else job
        self.task = running_task if task is None else task
        self.token = ""
        self.fencing = 0
        self.refusal = Refusal("", 0.0)
        self._since = 0
        self._process = 0
        self._reported = False

    def __repr__(self) -> str:
        return f"<ExclusiveLock {self.name!r} fencing={self.fencing or None}>"

    def acquire(self, wait: float = 0.0) -> bool:
        """Take the lock, within `wait` seconds if it is busy; return whether it is ours."""
        if self._mine():
            raise RuntimeError(f"{self!r} is already held by this object.")
        end = time.monotonic() + wait
        pause = 0.01
        while not self._take():
            left = end - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, pause * random.uniform(0.5, 1.5)))  # noqa: S311 — jitter
            pause = min(pause * 1.5, LONGEST_POLL)
        return True

    def release(self) -> bool:
        """Give the lock back; return False if it was no longer ours."""
        if not self._mine():
            return False
        token, reported = self.token, self._reported
        self.token = ""
        # First this: whatever interrupts us now, the lock is free within one time to live.
        self._finalizer()
        _held.discard(self)
        try:
            ours, job = run_script(scripts.RELEASE, self.keys, token, self.fencing, self.name)
        except RedisUnavailable as error:
            logger.warning(
                "Job %s: the lock %r was not given back and expires by itself: %s", self.job, self.name, error
            )
            return False
        if not int(ours) and not reported:
            self._report_lost(job)
        return bool(int(ours))

    def check(self) -> None:
        """Raise LockLost if someone else has the lock, or an operator took it away; also renews it."""
        if not self._mine():
            raise LockLost(f"The lock {self.name!r} is not held.")
        ours, job = run_script(scripts.RENEW, self.keys, *self._renewal())
        if not int(ours):
            self._report_lost(job)
            raise LockLost(f"The lock {self.name!r} has passed to {f'job {job}' if job else 'someone else'}.")

    @property
    def held(self) -> bool:
        """Whether the lock is ours at this moment; asks Redis."""
        try:
            self.check()
        except LockLost:
            return False
        return True

    def seems_lost(self) -> bool:
        """Return whether the keeper has noticed the loss of this lock; asks no one, so it is cheap and a little late."""
        if not self._mine():
            return False
        if not self._reported and keeping().is_lost(self.token):
            self._report_lost("")
        return self._reported

    def __enter__(self) -> "ExclusiveLock":
        if not self.acquire():
            raise LockBusy(f"The lock {self.name!r} is held by {self.refusal.job or 'someone else'}.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _mine(self) -> bool:
        # A forked process has a copy of the object, but the lock is its parent's.
        return bool(self.token) and self._process == os.getpid()

    def _identity(self) -> list[Any]:
        return [self.job[:200], self.task[:200], socket.gethostname()[:200], os.getpid(), self.name]

    def _renewal(self) -> list[Any]:
        return [self.token, self.fencing, int(self.ttl * 1000), *self._identity(), self._since]

    def _take(self) -> bool:
        token = uuid.uuid4().hex
        try:
            taken, text, now = run_script(scripts.TAKE, self.keys, token, "", int(self.ttl * 1000), *self._identity())
            if not int(taken):
                self.refusal = Refusal(text, now / 1000)
                return False
            self._own(token, int(text), now)
        except RedisUnavailable:
            raise
        except BaseException:
            # A time limit may strike when the server has said yes and no one has noted it.
            self.token, self._process = "", 0
            keeping().forget(token)
            with suppress(RedisUnavailable):
                run_script(scripts.RELEASE, self.keys, token, "", self.name)
            raise
        return True

    def _own(self, token: str, fencing: int, now: int) -> None:
        self.token, self.fencing, self._since = token, fencing, now
        self._process, self._reported = os.getpid(), False
        # An object that is dropped without being released must not be renewed for ever.
        self._finalizer = weakref.finalize(self, _forget, token, self._process)
        self._finalizer.atexit = False  # type: ignore[misc]
        _held.add(self)
        keeping().hold(
            token,
            {
                "url": settings.REDIS_URL,
                "keys": self.keys,
                "ttl": int(self.ttl * 1000),
                "renewal": self._renewal(),
                "release": [token, fencing, self.name],
            },
        )

    def _report_lost(self, new_holder: str) -> None:
        if not self._reported:
            self._reported = True
            logger.warning("Job %s lost the lock %r to %s", self.job, self.name, new_holder or "someone else")
            events.emit("lock", self.job or None, action="lost", lock=self.name, holder=new_holder, by="", reason="")


def _forget(token: str, process: int) -> None:
    if process == os.getpid():
        keeping().forget(token)


def lost(job: str) -> list[ExclusiveLock]:
    """Return the locks that `job` holds in this process and has lost; costs no round trip, so ask at any time."""
    return [lock for lock in list(_held) if lock.job == job and lock.seems_lost()]


@contextmanager
def redis_lock(lock_id: str, blocking: bool = False, expire: bool = True) -> Iterator[bool]:
    """Hold the lock `lock_id` inside the block; yields whether it could be had.

    With `blocking` it waits up to `LOCK_WAIT` seconds. `expire` is accepted for the sake of older code and
    changes nothing: every lock expires when its holder vanishes, and none does while its holder lives.
    """
    lock = ExclusiveLock(lock_id)
    taken = lock.acquire(wait=settings.LOCK_WAIT if blocking else 0.0)
    try:
        yield taken
    finally:
        lock.release()
