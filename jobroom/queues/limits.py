"""Limits and fair queues as page, API and command show them: who has a place, who waits; and taking a place away."""

import dataclasses
from datetime import UTC, datetime

from jobroom.anchors import anchor
from jobroom.celery import task_limits, turn_order
from jobroom.celery.turn_order import Turn
from jobroom.events import heartbeat
from jobroom.jobs.models import FINISHED, WAITING, Job
from jobroom.queues.exceptions import NotThere, Refused
from jobroom.signals import acted

# Holders that are named.
NAMED = 20
# Seconds after which a place is looked at whose job no worker has.
STALE = 60.0


@dataclasses.dataclass(frozen=True)
class Holder:
    """A job that has a place."""

    job: str
    since: datetime
    row: Job | None  # None when the history has none


@dataclasses.dataclass(frozen=True)
class LimitRow:
    """One limit with its key, or one fair queue."""

    name: str
    what: str
    key: str
    most: int
    rate: str
    holders: list[Holder]  # at most NAMED
    number: int  # how many have a place
    waiting: int
    people: int

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        return anchor("limit", self.name)

    @property
    def is_queue(self) -> bool:
        """Whether it is a fair queue."""
        return self.what.startswith("queue:")

    @property
    def title(self) -> str:
        """What it is, in words."""
        if self.is_queue:
            return f"Fair queue {self.what.partition(':')[2]}"
        return f"{self.what}, key {self.key}" if self.key else self.what


def limits(most: int | None = None, *, first: str = "") -> list[LimitRow]:
    """Return the limits that someone has a place in or waits for, `first` and those for which most jobs wait; at most `most`.

    A limit for each customer has a row for each of them. Raises the errors of Redis.
    """
    groups = sorted(
        task_limits.groups(), key=lambda group: (group.name != first, -group.waiting, -len(group.holders), group.name)
    )[:most]
    named = {group.name: list(group.holders.items())[:NAMED] for group in groups}
    jobs = Job.objects.without_bulk().in_bulk({job for holders in named.values() for job, _ in holders})
    return [
        LimitRow(
            name=group.name,
            what=group.what,
            key=group.key,
            most=group.most,
            rate=group.rate,
            holders=[Holder(job, datetime.fromtimestamp(at, UTC), jobs.get(job)) for job, at in named[group.name]],
            number=len(group.holders),
            waiting=group.waiting,
            people=group.people,
        )
        for group in groups
    ]


def free(name: str, job: str, *, by: str, reason: str) -> str:
    """Take the place of a job away, so that the next one may start; return the sentence that says what happened.

    Raises NotThere when it has none by now, Refused without a reason, and the errors of Redis.
    """
    if not reason.strip():
        raise Refused("reason", "Say why: it is kept in the audit.")
    (group,) = task_limits.read([name])
    if job not in group.holders:
        raise NotThere(f"The job {job or '?'} has no place in the limit {name or '?'}.")
    task_limits.release([job])
    said = f"Took the place of job {job} in the limit {name} away, and any other that it had: the next one may start. What runs goes on."
    acted.send(sender=LimitRow, who=by, action="broke", kind="limit", target=name, reason=reason, outcome=said)
    return said


def turn_of(job: str) -> Turn | None:
    """Return the turn of a job that waits for one, None for others; raises the errors of Redis."""
    return turn_order.turn_of(job, _queue_of(job)) if job else None


def _queue_of(job: str) -> str:
    return Job.objects.filter(pk=job).values_list("queue", flat=True).first() or ""


def let_be_next(job: str, *, by: str, reason: str = "") -> str:
    """Put a waiting job before all others of its limit or fair queue; return the sentence that says what happened.

    Raises NotThere when it waits for nothing by now, and the errors of Redis.
    """
    name = turn_order.let_be_next(job, _queue_of(job))
    if name is None:
        raise NotThere(f"The job {job or '?'} waits for no limit and no turn: it has had its turn by now.")
    said = f"The job {job} is the next of {name}: it starts with the next place that is free."
    acted.send(sender=LimitRow, who=by, action="let be next", kind="limit", target=name, reason=reason, outcome=said)
    return said


def sweep() -> None:
    """Give back the places of jobs that ended or went away without a word, and hand on those that stand empty."""
    held = {job for worker in heartbeat.workers() for job in worker.held}
    old = datetime.now(UTC).timestamp() - STALE
    stale = {job for group in task_limits.groups() for job, at in group.holders.items() if at < old and job not in held}
    states = dict(Job.objects.filter(pk__in=stale).values_list("pk", "state"))
    # One that is said to run, and that no worker has, is for the rescue to judge.
    task_limits.release(job for job in stale if states.get(job) is None or states[job] in FINISHED | set(WAITING))
    task_limits.refill()
