"""What an operator does with locks: list them, break one, read who broke which."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from jobroom import events, redis
from jobroom.exceptions import RedisUnavailable
from jobroom.locks import names, scripts
from jobroom.locks.exclusive import Holder, run_script


@dataclasses.dataclass(frozen=True)
class Broken:
    """One entry of the audit: the lock as it was, who broke it and why; `at` in seconds since 1970."""

    holder: Holder
    by: str
    reason: str
    at: float


def _holder(name: str, fields: Mapping[str, str], left: float) -> Holder:
    return Holder(
        name=name,
        job=fields["job"],
        task=fields["task"],
        host=fields["host"],
        pid=int(fields["pid"]),
        since=float(fields["since"]) / 1000,
        fencing=int(fields["fencing"]),
        expires_in=max(0.0, left / 1000),
    )


def _read(held: list[str]) -> list[Holder]:
    """Return the holders of the locks `held`; one that was freed meanwhile is left out."""
    with redis.client().pipeline(transaction=False) as pipe:
        for name in held:
            key = names.keys(name)[0]
            pipe.hgetall(key)
            pipe.pttl(key)
        answers: list[Any] = pipe.execute()
    rows = zip(held, answers[::2], answers[1::2], strict=True)
    return [_holder(name, fields, left) for name, fields, left in rows if fields]


def holders() -> list[Holder]:
    """Return who holds which lock, the oldest first; raise RedisUnavailable if Redis does not answer."""
    try:
        now = int(redis.now() * 1000)
        held: list[str] = redis.client().zrangebyscore(names.index_key(), now, "+inf")  # type: ignore[assignment]
        return sorted(_read(held), key=lambda holder: holder.since)
    except (redis.Error, OSError) as error:
        raise RedisUnavailable(f"The locks cannot be read: {error}") from error


def holder(name: str) -> Holder | None:
    """Return who holds the lock `name`, None if it is free; raise RedisUnavailable if Redis does not answer."""
    return holders_of([name]).get(names.clean(name))


def holders_of(wanted: Iterable[str]) -> dict[str, Holder]:
    """Return who holds those of the locks that are held, by name, in one round trip; raise RedisUnavailable if Redis does not answer."""
    held = [names.clean(name) for name in wanted]
    try:
        return {found.name: found for found in _read(held)} if held else {}
    except (redis.Error, OSError) as error:
        raise RedisUnavailable(f"The locks {', '.join(held)} cannot be read: {error}") from error


def break_lock(name: str, *, by: str, reason: str) -> Holder | None:
    """Take the lock `name` away from its holder; return who that was, None if it was free.

    The holder goes on working until it asks (`check`, `lost`), so make sure that it is stuck or gone. `by` and
    `reason` are written to the audit in the same step; an empty one raises ValueError.
    """
    if not by.strip() or not reason.strip():
        raise ValueError("Breaking a lock needs `by`, who does it, and `reason`, why.")
    name = names.clean(name)
    flat = run_script(scripts.BREAK, [*names.keys(name), names.audit_key()], name, by[:200], reason[:2000])
    if not flat:
        return None
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    was = _holder(name, fields, float(fields["left"]))
    events.emit("lock", was.job or None, action="broken", lock=name, holder=was.job, by=by, reason=reason)
    return was


def broken(limit: int = 100) -> list[Broken]:
    """Return the last `limit` entries of the audit, the newest first; raise RedisUnavailable if Redis does not answer."""
    try:
        entries: list[Any] = redis.client().xrevrange(names.audit_key(), count=limit)  # type: ignore[assignment]
    except (redis.Error, OSError) as error:
        raise RedisUnavailable(f"The audit of locks cannot be read: {error}") from error
    return [
        Broken(_holder(entry["name"], entry, 0), entry["by"], entry["reason"], float(entry["at"]) / 1000)
        for _, entry in entries
    ]


def broken_of(job: str) -> list[Broken]:
    """Return which locks were taken from a job, of the newest hundred; raise RedisUnavailable if Redis does not answer."""
    return [entry for entry in broken() if job and entry.holder.job == job]
