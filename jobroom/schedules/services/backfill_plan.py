"""Which runs a backfill would make: the due times of a range, without those that have run."""

import dataclasses
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom.arguments import WrongArguments
from jobroom.jobs import history
from jobroom.jobs.conf import settings
from jobroom.jobs.models import ACTIVE, Job, Source, State
from jobroom.schedules.exceptions import NotNow, UnusableSchedule
from jobroom.schedules.models import RunState, ScheduledRun, Which
from jobroom.schedules.services import closures
from jobroom.schedules.services.next_runs import UNUSABLE, reference, run_after, timing
from jobroom.schedules.services.runs import OPEN

# Due times that are looked at, runs that one backfill makes, and jobs that it has in flight at most.
LOOKED_AT, MOST, MOST_AT_ONCE = 20_000, 5_000, 100
# Seconds between two looks of a scheduler: no place becomes free sooner.
LOOK = 0.6
_LEAST = timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True)
class Range:
    """What is asked for: due times from `since` to `until`, both included, and which of them."""

    since: datetime
    until: datetime
    which: str = Which.MISSING


@dataclasses.dataclass
class Plan:
    """What a backfill would do.

    `dues` are the due times that it makes runs for, in order; `seconds` how long that takes about, one after the other.
    """

    zone: str
    dues: list[datetime] = dataclasses.field(default_factory=list)
    all: int = 0
    succeeded: int = 0
    failed: int = 0
    open: int = 0
    closed: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)
    seconds: float | None = None

    @property
    def count(self) -> int:
        """How many runs it makes."""
        return len(self.dues)

    def takes(self, at_once: int) -> float | None:
        """Return about how many seconds it takes with so many jobs at a time; None where no job has ended yet."""
        return self.seconds / max(min(at_once, self.count), 1) if self.seconds is not None else None


def plan(row: PeriodicTask, asked: Range) -> Plan:
    """Return which runs would be made; raise WrongArguments with the wrong fields, NotNow where the schedule has no such times."""
    _check(row, asked)
    found = Plan(str(getattr(closures.zone_of(row), "key", "UTC")))
    until = _until(row, asked, found)
    schedule = _schedule(row)
    dues = _due_times(row, schedule, asked.since, until)
    found.all = len(dues)
    closing = closures.of(row)
    if closing is not None:
        dues, before = [due for due in dues if not closing.why(due)], len(dues)
        found.closed = before - len(dues)
    _choose(row, schedule, asked, dues, found)
    if found.count > MOST:
        last = timezone.localtime(found.dues[MOST - 1], closures.zone_of(row))
        raise _wrong(
            "until",
            f"{found.count} runs would be made, and {MOST} are the most: choose {last:%Y-%m-%d %H:%M:%S} or earlier.",
        )
    _note_history(asked, found)
    typical = history.durations(row.task).typical
    found.seconds = max(typical, LOOK) * found.count if typical is not None else None
    return found


def _wrong(field: str, text: str) -> WrongArguments:
    return WrongArguments({field: [text]})


def _check(row: PeriodicTask, asked: Range) -> None:
    if row.clocked_id or row.one_off:
        raise NotNow("It runs once, so there is no range of due times: use Run now.")
    if asked.which not in Which.values:
        raise _wrong("which", f"Choose one of: {', '.join(Which.values)}.")
    if asked.since > timezone.now():
        raise _wrong("since", "Give a time that has passed: what is to come the schedule runs by itself.")
    if asked.until < asked.since:
        raise _wrong("until", "Give a time after the beginning of the range.")


def _schedule(row: PeriodicTask) -> Any:
    try:
        return timing(row)
    except UnusableSchedule as error:
        raise NotNow(f"It cannot run as it stands: {error}") from error


def _until(row: PeriodicTask, asked: Range, found: Plan) -> datetime:
    """Return the end of the range: what a scheduler accounts for, by the policy for missed runs, is left to it."""
    bound = reference(row) if row.enabled else timezone.now()
    if asked.until <= bound:
        return asked.until
    if row.enabled and bound < timezone.now() - timedelta(minutes=1):
        at = timezone.localtime(bound, closures.zone_of(row))
        found.notes.append(
            f"What was due after {at:%Y-%m-%d %H:%M:%S %Z} is left to the scheduler and the policy for missed runs."
        )
    return bound


def _due_times(row: PeriodicTask, schedule: Any, since: datetime, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    moment = since - (schedule.run_every if row.interval else _LEAST)
    try:
        while (moment := run_after(row, schedule, moment)) <= until:
            if len(found) == LOOKED_AT:
                last = timezone.localtime(found[-1], closures.zone_of(row))
                raise _wrong(
                    "until", f"There are more than {LOOKED_AT} due times: choose {last:%Y-%m-%d %H:%M:%S} or earlier."
                )
            found.append(moment.astimezone(UTC))
    except UNUSABLE:
        return found  # its date never comes again
    return found


def _choose(row: PeriodicTask, schedule: Any, asked: Range, dues: list[datetime], found: Plan) -> None:
    states = _states(row, schedule, dues)
    for due in dues:
        state = states.get(due)
        if state is None:
            found.dues.append(due)
        elif state in ACTIVE:
            found.open += 1
        elif state == State.SUCCEEDED:
            found.succeeded += 1
            found.dues += [due] if asked.which == Which.ALL else []
        else:
            found.failed += 1
            found.dues += [due] if asked.which != Which.MISSING else []


def _states(row: PeriodicTask, schedule: Any, dues: Sequence[datetime]) -> dict[datetime, str]:
    """Return the state of the job of each due time that has run, or is to run.

    A job that was sent in time names no due time in the database: it is of the last one before it was sent. One that was made up is named in its run.
    """
    if not dues:
        return {}
    after = closures.after(row, schedule, dues[-1]) or dues[-1] + timedelta(days=1)
    runs = list(
        ScheduledRun.objects.filter(row=row, due__gte=dues[0], due__lt=after).values_list("due", "state", "job")
    )
    late = set(ScheduledRun.objects.filter(row=row).exclude(job="").values_list("job", flat=True))
    jobs = Job.objects.filter(schedule=row.name, source=Source.SCHEDULE, created_at__gte=dues[0], created_at__lt=after)
    found: dict[datetime, str] = {}
    for pk, state, at in jobs.order_by("created_at").values_list("pk", "state", "created_at"):
        if pk not in late:
            found[dues[bisect_right(dues, at) - 1]] = state
    made = dict(
        Job.objects.filter(schedule=row.name, pk__in=[job for *_, job in runs if job][:LOOKED_AT]).values_list(
            "pk", "state"
        )
    )
    for due, state, job in runs:
        of = dues[bisect_right(dues, due) - 1]
        if state in OPEN:
            found[of] = State.QUEUED
        elif state == RunState.SENT:
            found[of] = made.get(job, State.SUCCEEDED)
    return found


def _note_history(asked: Range, found: Plan) -> None:
    days = settings.KEEP_DAYS
    if days and asked.since < timezone.now() - timedelta(days=days):
        found.notes.append(
            f"Jobs leave the history after {days:g} days: of runs before that it is not known whether they took place in time."
        )
