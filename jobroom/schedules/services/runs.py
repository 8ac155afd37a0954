"""Runs that were not sent when they were due: missed, waiting, or skipped."""

import dataclasses
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Min, Q, QuerySet
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom.schedules.models import Backfill, BackfillState, Missed, RunState, ScheduledRun, SchedulePolicy

# Seconds: a run is missed that another scheduler has not sent so long after its time; and one that is later than this is
# made up, and not only late.
MISSED_AFTER, LATE = timedelta(seconds=10), timedelta(seconds=60)
# Missed runs of one schedule that are listed, and rows of one schedule that are kept.
MOST_LISTED, MOST_KEPT = 100, 1000
# Backfills of one schedule that are kept when they are over, each with all its runs.
BACKFILLS_KEPT = 10
AWAY = "nothing could be sent at its time (no scheduler ran, or broker or database were away)"
KILLED = "its scheduler was stopped while it sent it"
OPEN = (RunState.HELD, RunState.SENDING)
# A run that is being sent for so long is taken for abandoned. A scheduler that stood still meanwhile does not send it any more.
ABANDONED_AFTER, SENDS_FOR = timedelta(seconds=20), timedelta(seconds=10)


# What goes for a schedule for which nothing was chosen: of no row, which would remember it.
_USUAL = SchedulePolicy()


@dataclasses.dataclass
class Plan:
    """What a scheduler does about the moments at which a schedule was due: which run it sends now, and which are written down."""

    now: datetime | None = None
    rows: list[ScheduledRun] = dataclasses.field(default_factory=list)

    def leave_out(self, row: PeriodicTask, due: datetime) -> ScheduledRun:
        """Take the run of the moment `due` out, whatever else would have become of it; return it as skipped."""
        self.now = None if self.now == due else self.now
        self.rows = [run for run in self.rows if run.due != due]
        return _run(row, due, RunState.SKIPPED, "skipped: it was to be left out")


def policy_of(row: PeriodicTask) -> SchedulePolicy | None:
    """Return the policy of a schedule that was read with it; None where nothing was chosen."""
    found: SchedulePolicy | None = getattr(row, "policy", None)
    return found


def plan(row: PeriodicTask, dues: list[datetime], *, older: bool, now: datetime) -> Plan:
    """Return what becomes of the moments `dues` (in order; `older`: there were others before) by the schedule's policy."""
    if not dues:
        return Plan()
    policy = policy_of(row) or _USUAL
    *before, newest = dues
    late = now - newest > LATE
    if policy.missed == Missed.ALL and (before or late):
        begin = now - timedelta(seconds=policy.missed_window)
        held = [_run(row, due, RunState.HELD, f"waits to be made up: {AWAY}") for due in dues if due >= begin]
        rest = [due for due in dues if due < begin]
        return Plan(None, [*_missed(row, rest, "older than what is made up", older=older), *held])
    if policy.missed == Missed.SKIP and late:
        return Plan(None, _missed(row, dues, "", older=older))
    gone = [due for due in before if now - due > MISSED_AFTER]
    return Plan(newest, _missed(row, gone, "the newest is run in its place", older=older and bool(gone)))


def _missed(row: PeriodicTask, dues: list[datetime], more: str, *, older: bool) -> list[ScheduledRun]:
    listed = dues[-MOST_LISTED:]
    reasons = [AWAY + (f"; {more}" if more else "")] * len(listed)
    if listed and (older or len(dues) > len(listed)):
        reasons[0] += "; earlier ones are not listed"
    return [_run(row, due, RunState.MISSED, f"missed: {why}") for due, why in zip(listed, reasons, strict=True)]


def _run(row: PeriodicTask, due: datetime, state: RunState, reason: str) -> ScheduledRun:
    return ScheduledRun(row=row, due=due, state=state, reason=reason)


def skipped(row: PeriodicTask, due: datetime, why: str) -> ScheduledRun:
    """Return a run that is skipped."""
    return decided(row, due, RunState.SKIPPED, f"skipped: {why}")


def decided(row: PeriodicTask, due: datetime, state: RunState, reason: str) -> ScheduledRun:
    """Return a run of which something else becomes than a job in time."""
    return _run(row, due, state, reason[:300])


def write(rows: list[ScheduledRun]) -> None:
    """Keep these runs; one that is kept already stays as it is."""
    if rows:
        ScheduledRun.objects.bulk_create(rows, ignore_conflicts=True)
        _forget_old(rows[0].row_id)


def forget_backfills(row: PeriodicTask) -> None:
    """Forget all but the latest backfills of a schedule that are over; their runs are kept and forgotten like others."""
    over = Backfill.objects.filter(row=row).exclude(state__in=[BackfillState.RUNNING, BackfillState.PAUSED])
    Backfill.objects.filter(pk__in=list(over.order_by("-pk").values_list("pk", flat=True)[BACKFILLS_KEPT:])).delete()
    _forget_old(row.pk)


def _forget_old(row: int) -> None:
    ended = ScheduledRun.objects.filter(row=row, backfill=None).exclude(state__in=OPEN).order_by("-due")
    last = ended.values_list("due", flat=True)[MOST_KEPT : MOST_KEPT + 1]
    if oldest := list(last):
        ended.filter(due__lte=oldest[0]).delete()


def first_held(most: int, after: datetime | None = None) -> list[ScheduledRun]:
    """Return the oldest run that waits of each schedule, of `most` schedules; those of paused schedules are skipped.

    With `after` only those that were due after it: who looks again goes on there, so that no one waits behind others for ever.
    """
    waiting = ready(ScheduledRun.objects.filter(state=RunState.HELD, backfill=None))
    oldest = waiting.values("row").annotate(first=Min("due")).order_by("first").values_list("row", "first")
    heads = list((oldest.filter(first__gt=after) if after else oldest)[:most])
    if not heads:
        return []
    found = waiting.filter(row__in=[row for row, _ in heads], due__in=[due for _, due in heads])
    rows = found.select_related(*(f"row__{one}" for one in ("interval", "crontab", "solar", "clocked", "policy")))
    first = set(heads)
    return [run for run in rows.order_by("due") if (run.row_id, run.due) in first and not _is_over(run)]


def ready(runs: "QuerySet[ScheduledRun]") -> "QuerySet[ScheduledRun]":
    """Return those of the runs that do not wait for a time that their calendars name."""
    return runs.filter(Q(not_before=None) | Q(not_before__lte=timezone.now()))


def put_off(run: ScheduledRun, until: datetime | None, why: str) -> None:
    """Let a run wait until a time that is open; where there is none it is skipped."""
    fields: dict[str, object] = {"not_before": until, "reason": why[:300], "at": timezone.now()}
    if until is None:
        fields["state"] = RunState.SKIPPED
    ScheduledRun.objects.filter(pk=run.pk, state=RunState.HELD).update(**fields)


def _is_over(run: ScheduledRun) -> bool:
    if run.row.enabled or run.row.one_off:
        return False
    ScheduledRun.objects.filter(row=run.row_id, state=RunState.HELD, backfill=None).update(
        state=RunState.SKIPPED, reason="skipped: the schedule was paused while it waited"
    )
    return True


def take(run: ScheduledRun) -> bool:
    """Take a run that waits, to send it; False where another scheduler was faster."""
    return bool(
        ScheduledRun.objects.filter(pk=run.pk, state=RunState.HELD).update(state=RunState.SENDING, at=timezone.now())
    )


def settle(run: ScheduledRun, state: RunState, *, reason: str = "", job: str = "") -> None:
    """Write what became of a run that was taken."""
    fields = {"reason": reason[:300]} if reason else {}
    ScheduledRun.objects.filter(pk=run.pk).update(state=state, job=job, at=timezone.now(), **fields)


def give_back_abandoned() -> None:
    """Let runs wait again whose scheduler was killed before it said what became of them."""
    old = timezone.now() - ABANDONED_AFTER
    abandoned = ScheduledRun.objects.filter(state=RunState.SENDING, at__lt=old)
    abandoned.exclude(job="").filter(backfill=None).update(state=RunState.HELD, reason=KILLED)
    abandoned.update(state=RunState.HELD)
    # Also those that could not be sent while someone cancelled their backfill: no one would send them any more.
    for backfill in Backfill.objects.filter(state=BackfillState.CANCELLED, runs__state=RunState.HELD).distinct():
        leave_out(backfill)


def leave_out(backfill: Backfill) -> int:
    """Let no run of a cancelled backfill wait any more; return how many did."""
    left = ScheduledRun.objects.filter(backfill=backfill, state=RunState.HELD)
    count = left.count()
    left.exclude(job="").update(state=RunState.SENT, reason="ran before; the backfill was cancelled")
    left.update(state=RunState.SKIPPED, reason=f"skipped: the backfill was {backfill.reason}"[:300])
    return count


def sent(rows: Iterable[PeriodicTask], job: str) -> None:
    """Remember the job that is sent for a schedule, before it is sent."""
    kept = {row.pk: found for row in rows if (found := policy_of(row)) is not None}
    SchedulePolicy.objects.filter(row__in=kept).update(last_job=job)
    for found in kept.values():
        found.last_job = job


def of(row: PeriodicTask, most: int) -> "QuerySet[ScheduledRun]":
    """Return the runs of a schedule that were not sent when they were due, the newest first; without those of backfills."""
    return ScheduledRun.objects.filter(row=row, backfill=None).order_by("-due")[:most]
