"""Pauses a schedule (who, why, until when), and skips single runs."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Min
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom import housekeeping_loops
from jobroom.arguments import WrongArguments
from jobroom.schedules import audit
from jobroom.schedules.exceptions import NotNow, UnusableSchedule
from jobroom.schedules.models import ScheduleDetail
from jobroom.schedules.services import closures, marks
from jobroom.schedules.services.next_runs import next_pairs
from jobroom.schedules.services.writes import set_enabled
from jobroom.users import User

logger = logging.getLogger(__name__)

# Longest time for which a schedule is paused: who wants more pauses it without an end.
LONGEST = timedelta(days=3650)
# Next runs of which one may be chosen to be left out, and how exactly its moment has to be named.
CHOSEN_FROM, SAME = 100, timedelta(seconds=1)


def pause(row: PeriodicTask, *, by: User | None, reason: str, until: datetime | None = None) -> None:
    """Let the schedule send nothing more until it is resumed, or by itself from `until` on.

    `by` None is the machine. Raises NotNow where it sends nothing already, and WrongArguments for an `until` that has passed.
    """
    wrong = why_not_until(until)
    if wrong:
        raise WrongArguments({"until": [wrong]})
    with transaction.atomic():
        stop(row, by.get_username() if by is not None else "the command line", reason, until)
    outcome = f"Until {until:%Y-%m-%d %H:%M:%S %Z}." if until is not None else ""
    audit.record(by, "paused", row.name, reason=reason, outcome=outcome)


def stop(row: PeriodicTask, who: str, reason: str, until: datetime | None = None) -> None:
    """Pause the schedule in the name of `who`; raise NotNow where it sends nothing already. The caller audits it."""
    if not set_enabled(PeriodicTask.objects.filter(pk=row.pk), enabled=False):
        raise NotNow("It is paused already.")
    paused = {"paused_by": who[:150], "paused_at": timezone.now(), "pause_reason": reason[:300], "paused_until": until}
    _detail(row, **paused, skip_at=None)
    row.enabled = False


def why_not_until(until: datetime | None) -> str:
    """Return why a pause cannot end then; empty if it can."""
    if until is None or timezone.now() < until <= timezone.now() + LONGEST:
        return ""
    return f"Give a time to come, at most {LONGEST.days} days from now, or none: then it is paused until it is resumed."


def next_end() -> datetime | None:
    """Return when the next pause ends by itself."""
    found: datetime | None = ScheduleDetail.objects.aggregate(first=Min("paused_until"))["first"]
    return found


def resume_due() -> None:
    """Let the schedules run again whose pause has ended; of several schedulers one does it for each."""
    over = ScheduleDetail.objects.filter(paused_until__lte=timezone.now()).select_related("row")
    for detail in over:
        with housekeeping_loops.isolated("resuming schedules", f"schedule {detail.row.name}"), transaction.atomic():
            _resume_due(detail)


def _resume_due(detail: ScheduleDetail) -> None:
    ours = ScheduleDetail.objects.filter(pk=detail.pk, paused_until=detail.paused_until).update(paused_until=None)
    if ours and set_enabled(PeriodicTask.objects.filter(pk=detail.row_id), enabled=True):
        said = f"The pause of {detail.paused_by} until {detail.paused_until:%Y-%m-%d %H:%M:%S %Z} is over."
        logger.info("Schedule %s runs again: %s", detail.row.name, said)
        audit.record(None, "resumed", detail.row.name, outcome=said, who="the schedule itself")


def resume(row: PeriodicTask) -> None:
    """Let the schedule run again, from now on: what was missed is not made up. Raises NotNow where it runs already."""
    if not set_enabled(PeriodicTask.objects.filter(pk=row.pk), enabled=True):
        raise NotNow("It is not paused.")
    row.enabled = True


def skip(row: PeriodicTask, at: datetime | None = None) -> datetime:
    """Let one run be left out, the next or that of the moment `at`, and return when that would be.

    It takes the place of one that was to be left out before. Raises NotNow where there is no next run, and WrongArguments where
    none of the next runs is at that moment.
    """
    closing = closures.of(row)
    try:
        pairs = next_pairs(row, CHOSEN_FROM if at is not None or closing is not None else 1)
    except UnusableSchedule as error:
        raise NotNow(f"It has no next run: {error}") from error
    runs = [start for start, due in pairs if closing is None or not closing.why(due)]
    if not runs:
        raise NotNow("It has no next run that could be left out.")
    chosen = runs[0] if at is None else min(runs, key=lambda moment: abs(moment - at))
    if at is not None and abs(chosen - at) >= SAME:
        raise WrongArguments({"at": [_no_run(runs, at)]})
    _detail(row, skip_at=chosen)
    return chosen


def _no_run(runs: list[datetime], at: datetime) -> str:
    near = sorted(sorted(runs, key=lambda moment: abs(moment - at))[:3])
    words = ", ".join(f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}" for moment in near)
    return f"None of its next {len(runs)} runs is then: choose one of them, such as {words}."


def unskip(row: PeriodicTask) -> None:
    """Let the run take place after all."""
    _detail(row, skip_at=None)


def skipped(row: PeriodicTask) -> datetime | None:
    """Return the moment of the run that is to be left out, None when there is none."""
    found: datetime | None = getattr(getattr(row, "detail", None), "skip_at", None)
    return found


def leaves_out(row: PeriodicTask, dues: Sequence[datetime], starts: Sequence[datetime]) -> datetime | None:
    """Return which of the runs that are due now is to be left out, and forget it then: only one is.

    `starts` are the moments at which they take place, by jitter later than they are due. An interval counts from the last run, which is sent a little after its time: so it is the first run from that moment on. Where all
    were due before, the newest was shown as the next run when it was chosen.
    """
    moment = skipped(row)
    if moment is None or timezone.now() < moment:
        return None
    if not ScheduleDetail.objects.filter(row=row.pk, skip_at=moment).update(skip_at=None):
        return None
    return next((due for due, start in zip(dues, starts, strict=True) if start >= moment), dues[-1])


def _detail(row: PeriodicTask, **fields: object) -> None:
    ScheduleDetail.objects.update_or_create(row=row, defaults=fields)
    marks.changed([row.pk])  # beat keeps what it has read
