"""Which jobs will be late, are late, run longer than usual or are silent: looked at by the recorder every few seconds.

*Late* is said as soon as even the early end of the forecast misses the deadline, and taken back when its late end keeps it; between both it
stays as it was. Without a forecast only a deadline that has passed is said. Nothing is done to a job: people look, and alerts.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from jobroom import events
from jobroom.jobs import estimates
from jobroom.jobs.lateness_models import Expectation, ExpectedOf, LateKind, Lateness
from jobroom.jobs.models import WAITING, Job, State
from jobroom.jobs.number_formats import short
from jobroom.jobs.querysets import JobQuerySet
from jobroom.jobs.queue_position import waiting

# Seconds between two looks.
PAUSE = 10.0
# So many running jobs, and jobs that wait and have a deadline, are looked at, the oldest first.
MOST = 1000
# Without an expectation of its own a job runs longer than usual after this many times the longest of its task's latest jobs, if so
# many are known, but never before these seconds.
LONGER, LEAST_KNOWN, LEAST_SECONDS = 2.0, 5, 60.0
# What may be asked for: one kind, or any of them.
ANY = "any"
CHOICES = (*LateKind.values, ANY)
_COLUMNS = ("id", "task", "state", "queue", "schedule", "queued_at", "started_at", "run_after", "created_at", "progress",
            "execution", "last_event", "lock", "answer_of", "owner")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Expected:
    """What is expected of one job, in seconds; None where nothing is."""

    within: float | None = None
    usual: float | None = None
    silent: float | None = None


class Expectations:
    """All of them, as they are now."""

    def __init__(self) -> None:
        self.rows = {(row.of, row.name): row for row in Expectation.objects.all()}

    def of(self, job: Job) -> Expected:
        """Return what is expected of a job: what its schedule says, and where that says nothing, its task."""
        rows = [self.rows.get((ExpectedOf.SCHEDULE, job.schedule)), self.rows.get((ExpectedOf.TASK, job.task))]
        found: dict[str, float] = {}
        for row in filter(None, rows):
            for name in ("within", "usual", "silent"):
                if (seconds := getattr(row, name)) is not None:
                    found.setdefault(name, seconds)
        return Expected(**found)

    @property
    def with_deadline(self) -> Q:
        """The jobs that have a deadline."""
        named = {of: [n for (kind, n), row in self.rows.items() if kind == of and row.within] for of in ExpectedOf}
        return Q(task__in=named[ExpectedOf.TASK]) | Q(schedule__in=named[ExpectedOf.SCHEDULE])


def deadline_of(job: Job, expected: Expected) -> datetime | None:
    """Return when a job should have ended: counted from its turn, which is its launch or the time that it was launched for."""
    if expected.within is None:
        return None
    later = job.run_after if job.run_after and job.state == State.SCHEDULED else None
    return max(job.created_at, later or job.created_at) + timedelta(seconds=expected.within)


def will_miss(left: float, forecast_left: tuple[float, float] | None, *, before: bool) -> bool:
    """Return whether a job misses a deadline that is `left` seconds away.

    Args:
        left: seconds until the deadline; negative when it has passed.
        forecast_left: the least and the most seconds until its end; None where no one can know.
        before: what was said of it last.
    """
    if left < 0:
        return True
    if forecast_left is None:
        return before
    low, high = forecast_left
    return low > left or (before and high > left)


# Written by the recorder ------------------------------------------------------------------------------------------------
def look(now: datetime | None = None) -> None:
    """Look at the jobs that go on, and write down which are late."""
    now = now or timezone.now()
    expectations = Expectations()
    known = {(row.job_id, row.kind): row for row in Lateness.objects.all()}
    found = {(row.job_id, row.kind): row for row in _found(expectations, now, known)}
    gone = [row.pk for key, row in known.items() if key not in found]
    changed = []
    for key in found.keys() & known.keys():
        row, new = known[key], found[key]
        if _values(row) != _values(new):
            new.pk, new.since = row.pk, row.since
            changed.append(new)
    with transaction.atomic():
        Lateness.objects.filter(pk__in=gone).delete()
        Lateness.objects.bulk_update(changed, ["deadline", "earliest", "latest", "bound"], batch_size=100)
        # A job that was deleted this moment has no row any more that could be late.
        new_rows = [row for key, row in sorted(found.items()) if key not in known]
        there = set(Job.objects.filter(pk__in=[row.job_id for row in new_rows]).values_list("pk", flat=True))
        Lateness.objects.bulk_create([row for row in new_rows if row.job_id in there], ignore_conflicts=True)


def _values(row: Lateness) -> tuple[Any, ...]:
    return row.deadline, row.earliest, row.latest, row.bound


def _found(expectations: Expectations, now: datetime, known: Mapping[tuple[str, str], Lateness]) -> Iterable[Lateness]:
    jobs = _jobs(expectations)
    places = waiting([job for job in jobs if job.state == State.QUEUED])
    times = estimates.times({job.pk: job.task for job in jobs})
    for job in jobs:
        expected = expectations.of(job)
        place = places.get(job.pk)
        wait = place.seconds if place is not None else None
        before = (job.pk, LateKind.LATE) in known
        left = _left(job, times[job.pk], wait, now)
        found = [_late(job, expected, left, now, before=before), _long(job, expected, times[job.pk], now)]
        yield from filter(None, (*found, _silent(job, expected, now)))


def _jobs(expectations: Expectations) -> list[Job]:
    rows = Job.objects.only(*_COLUMNS).order_by("created_at", "id")
    running = list(rows.filter(state=State.RUNNING, answer_of="")[:MOST])
    if not any(row.within for row in expectations.rows.values()):
        return running
    return running + list(rows.filter(expectations.with_deadline, state__in=WAITING, answer_of="")[:MOST])


def _late(
    job: Job, expected: Expected, left: tuple[float, float] | None, now: datetime, *, before: bool
) -> Lateness | None:
    deadline = deadline_of(job, expected)
    if deadline is None:
        return None
    if not will_miss((deadline - now).total_seconds(), left, before=before):
        return None
    row = Lateness(job_id=job.pk, kind=LateKind.LATE, deadline=deadline)
    if left is not None:
        row.earliest, row.latest = (_rounded(now + timedelta(seconds=seconds)) for seconds in left)
    return row


def _rounded(moment: datetime) -> datetime:
    """Return a moment to ten seconds: a forecast is no more exact, and a row need not be written at each look."""
    return moment.replace(second=moment.second // 10 * 10, microsecond=0)


def _left(job: Job, times: Sequence[float], wait: float | None, now: datetime) -> tuple[float, float] | None:
    """Return the least and the most seconds until the end of a job; None where no one can know."""
    whole = estimates.left(job, times, now)
    if whole is None or job.state == State.RUNNING:
        return whole
    if job.run_after is not None and job.state in (State.SCHEDULED, State.RETRYING):
        wait = max(0.0, (job.run_after - now).total_seconds())
    # One whose start no one knows ends no sooner than if it started now; how late, no one knows.
    return (
        (whole[0] + wait, whole[1] + wait)
        if wait is not None
        else (whole[0], float(timedelta(days=30).total_seconds()))
    )


def _long(job: Job, expected: Expected, times: Sequence[float], now: datetime) -> Lateness | None:
    if job.state != State.RUNNING or job.started_at is None:
        return None
    bound = expected.usual
    if bound is None:
        bound = max(LONGER * max(times), LEAST_SECONDS) if len(times) >= LEAST_KNOWN else None
    if bound is None or (now - job.started_at).total_seconds() <= bound:
        return None
    return Lateness(job_id=job.pk, kind=LateKind.LONG, bound=bound)


def _silent(job: Job, expected: Expected, now: datetime) -> Lateness | None:
    if job.state != State.RUNNING or expected.silent is None:
        return None
    if (now - last_word(job)).total_seconds() <= expected.silent:
        return None
    return Lateness(job_id=job.pk, kind=LateKind.SILENT, bound=expected.silent)


def last_word(job: Job) -> datetime:
    """Return when the job said something last: its start, progress, a line of its log or a file."""
    milliseconds = int(events.position(job.last_event).partition("-")[0])
    said = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return max(said, job.started_at) if job.started_at else said


# Read by pages ----------------------------------------------------------------------------------------------------------
def sentences(job: Job) -> list[str]:
    """Return what is to be said of a job that goes on; nothing where all is as expected."""
    if job.is_finished:
        return []
    return [sentence(row, job) for row in job.lateness.order_by("kind")]


def sentence(row: Lateness, job: Job) -> str:
    """Return what a row says, as people read it."""
    if row.kind == LateKind.SILENT:
        return f"It has said nothing since {_moment(last_word(job))}, for longer than {short(row.bound or 0)}."
    if row.kind == LateKind.LONG:
        return f"It runs longer than usual: more than {short(row.bound or 0)}."
    end = ""
    if _is_near(row):
        between = f"between {_moment(row.earliest)} and {_moment(row.latest)}"
        end = f" It should end {between if row.earliest != row.latest else f'about {_moment(row.latest)}'}."
    deadline = row.deadline or row.since
    if deadline < timezone.now():
        return f"It is late: it should have ended by {_moment(deadline)}.{end}"
    return f"It will be late: its deadline is {_moment(deadline)}.{end}"


def _is_near(row: Lateness) -> bool:
    """Return whether it is known between which moments the job should end."""
    return bool(row.earliest and row.latest and row.latest - row.earliest < timedelta(days=20))


def _moment(moment: datetime | None) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}" if moment else "an unknown moment"


def ids(kind: str) -> list[str]:
    """Return the jobs that are late in that way, or in any."""
    rows = Lateness.objects.all() if kind == ANY else Lateness.objects.filter(kind=kind)
    return list(dict.fromkeys(rows.order_by("job_id").values_list("job_id", flat=True)[: 3 * MOST]))


def numbers(visible: JobQuerySet) -> dict[str, int]:
    """Return for each kind how many of the jobs that someone may see are late in that way."""
    found: dict[str, int] = {}
    for kind in Lateness.objects.filter(job__in=visible.filter(pk__in=ids(ANY))).values_list("kind", flat=True):
        found[kind] = found.get(kind, 0) + 1
    return found


def kinds(jobs: Sequence[Job]) -> dict[str, list[str]]:
    """Return for jobs of a list in which ways they are late, in words."""
    found: dict[str, list[str]] = {}
    going = [job.pk for job in jobs if not job.is_finished]
    for row in Lateness.objects.filter(job__in=going).order_by("kind") if going else ():
        over = row.kind == LateKind.LATE and row.deadline is not None and row.deadline >= timezone.now()
        words = "Will be late" if over else "Late" if row.kind == LateKind.LATE else LateKind(row.kind).label
        found.setdefault(row.job_id, []).append(str(words))
    return found
