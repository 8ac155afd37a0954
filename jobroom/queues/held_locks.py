"""Locks as page, API and command show them: who holds each, since when, and who waits; and breaking one."""

import dataclasses
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from jobroom import locks
from jobroom.anchors import anchor
from jobroom.jobs.models import WAITING, Job
from jobroom.locks.operator import Broken
from jobroom.queues.exceptions import NotThere, Refused
from jobroom.signals import acted

# Waiting jobs of a lock that are named, and that are looked at for all locks.
NAMED, LOOKED = 10, 1000


@dataclasses.dataclass(frozen=True)
class LockRow:
    """One lock that is held."""

    name: str
    job: str  # the id of the job that holds it; empty for a process that runs none
    task: str
    host: str
    pid: int
    since: datetime
    fencing: int
    expires: datetime  # when it is free if its holder does not renew it
    holder: Job | None  # the row of the job; None when the history has none
    waiting: list[Job]  # at most NAMED
    number: int  # how many wait, at most LOOKED

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        return anchor("lock", self.name)


def held() -> list[LockRow]:
    """Return the locks that are held, the oldest first; raises RedisUnavailable."""
    holders = locks.holders()
    jobs = Job.objects.without_bulk().in_bulk([holder.job for holder in holders if holder.job])
    waiting = defaultdict(list)
    rows = Job.objects.without_bulk().filter(lock__in=[holder.name for holder in holders], state__in=WAITING)
    for job in rows.order_by("queued_at", "pk")[:LOOKED]:
        waiting[job.lock].append(job)
    now = timezone.now()
    return [
        LockRow(
            name=holder.name,
            job=holder.job,
            task=holder.task,
            host=holder.host,
            pid=holder.pid,
            since=datetime.fromtimestamp(holder.since, UTC),
            fencing=holder.fencing,
            expires=now + timedelta(seconds=holder.expires_in),
            holder=jobs.get(holder.job),
            waiting=waiting[holder.name][:NAMED],
            number=len(waiting[holder.name]),
        )
        for holder in holders
    ]


def broken(limit: int = 20) -> list[Broken]:
    """Return the locks that were broken last, the newest first."""
    return locks.broken(limit)


def break_lock(name: str, *, by: str, reason: str) -> str:
    """Take a lock away from its holder; return the sentence that says what happened.

    Raises NotThere when it is free by now, Refused without a reason, and RedisUnavailable.
    """
    if not name.strip():
        raise Refused("name", "Name the lock.")
    if not reason.strip():
        raise Refused(
            "reason", "Say why: it is kept in the audit, and shown on the page of the job that loses the lock."
        )
    was = locks.break_lock(name, by=by, reason=reason)
    if was is None:
        raise NotThere(f"The lock {name} is free: its holder has given it back, or it has expired.")
    who = f"job {was.job}" if was.job else f"{was.task or 'a process'} on {was.host}"
    said = f"Broke the lock {name}, which {who} held. It goes on until it asks for the lock; the next one in line may take it."
    acted.send(sender=LockRow, who=by, action="broke", kind="lock", target=name, reason=reason, outcome=said)
    return said
