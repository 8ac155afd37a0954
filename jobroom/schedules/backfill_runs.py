"""Sends the runs of backfills, so many of each at a time, whatever number of schedulers looks."""

import logging
import time
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from jobroom import housekeeping_loops
from jobroom.jobs import current_state
from jobroom.jobs.models import ACTIVE, Job
from jobroom.schedules import held_runs
from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.models import Backfill, BackfillState, Overlap, RunState, ScheduledRun
from jobroom.schedules.services import closures, overlap, runs
from jobroom.schedules.services.dispatch import message, refusal
from jobroom.users import User

if TYPE_CHECKING:
    from jobroom.schedules.scheduler import Scheduler

logger = logging.getLogger(__name__)

# Backfills that one look advances, and seconds between two looks where there is none.
MOST, IDLE = 50, 2.0
# Seconds after which a job that the database does not hold is looked up in the events.
UNSEEN = 30.0


class Backfills:
    """What a scheduler remembers between two looks at the backfills."""

    def __init__(self) -> None:
        self._not_before = float("-inf")
        self._unseen: dict[str, float] = {}

    def send(self, scheduler: "Scheduler") -> None:
        """Send what the open backfills may send now."""
        if time.monotonic() < self._not_before:
            return
        related = [f"row__{one}" for one in ("interval", "crontab", "solar", "clocked", "policy")]
        found = list(Backfill.objects.filter(state=BackfillState.RUNNING).select_related("row", *related)[:MOST])
        self._not_before = time.monotonic() + (0 if found else IDLE)
        for backfill in found:
            with housekeeping_loops.isolated("sending backfills", str(backfill)):
                self._advance(scheduler, backfill)

    def _advance(self, scheduler: "Scheduler", backfill: Backfill) -> None:
        flying = self._flying(backfill.in_flight)
        waiting = ScheduledRun.objects.filter(backfill=backfill, state__in=runs.OPEN)
        if not flying and not waiting.exists():
            _end(backfill)
            return
        free = backfill.at_once - len(flying)
        if free > 0 and not (waiting.filter(state=RunState.HELD).exists() and _may_send(backfill)):
            free = 0
        if free <= 0 and len(flying) == len(backfill.in_flight):
            return
        taken = _take(backfill, flying, free)
        reason = _refusal(backfill) if taken else ""
        for run in taken:
            run.row = backfill.row
            if reason:
                runs.settle(run, RunState.SKIPPED, reason=f"skipped: {reason}")
            else:
                held_runs.deal_with(scheduler, run)

    def _flying(self, jobs: list[str]) -> list[str]:
        """Return those of the jobs that were sent which have not ended."""
        states = dict(Job.objects.filter(pk__in=jobs).values_list("pk", "state")) if jobs else {}
        for job in states:
            self._unseen.pop(job, None)
        return [job for job in jobs if (states[job] in ACTIVE if job in states else self._flies_unseen(job))]

    def _flies_unseen(self, job: str) -> bool:
        """Return whether a job that the database does not hold has not ended; one that no one has heard of was never sent."""
        since = self._unseen.setdefault(job, time.monotonic())
        if time.monotonic() - since < UNSEEN:
            return True
        found = current_state.job(job)
        if found is not None and found.state in ACTIVE:
            return True
        self._unseen.pop(job, None)
        return False


def _may_send(backfill: Backfill) -> bool:
    row = backfill.row
    closing = closures.of(row)
    if closing is not None and closing.why(timezone.now()):
        return False
    policy = runs.policy_of(row)
    if policy is None or policy.overlap == Overlap.ALLOW:
        return True
    return not overlap.in_flight(row, policy.last_job)


def _take(backfill: Backfill, flying: list[str], free: int) -> list[ScheduledRun]:
    """Take the next runs for this scheduler alone: the count of what is in flight and the taking are one step."""
    with transaction.atomic():
        ours = Backfill.objects.filter(pk=backfill.pk, turn=backfill.turn, state=BackfillState.RUNNING)
        if not ours.update(turn=backfill.turn + 1):
            return []
        order = "-due" if backfill.newest_first else "due"
        held = ScheduledRun.objects.filter(backfill=backfill, state=RunState.HELD).order_by(order)
        taken = [run for run in held[: max(free, 0)] if runs.take(run)]
        known = dict.fromkeys([*flying, *(held_runs.job_id(run) for run in taken)])
        Backfill.objects.filter(pk=backfill.pk).update(in_flight=list(known))
    return taken


def _refusal(backfill: Backfill) -> str:
    """Return why the person who asked for the backfill may not go on with it; empty where they may."""
    if not backfill.by:
        return ""
    by = User._default_manager.filter(**{User.USERNAME_FIELD: backfill.by}, is_active=True).first()
    if by is None:
        return f"the account of {backfill.by} is closed"
    try:
        args, kwargs, _ = message(backfill.row)
    except UnusableSchedule as error:
        return str(error)
    return refusal(backfill.row, args, kwargs, by)


def _end(backfill: Backfill) -> None:
    over = Backfill.objects.filter(pk=backfill.pk, state=BackfillState.RUNNING, turn=backfill.turn)
    if over.update(state=BackfillState.DONE, ended_at=timezone.now(), in_flight=[], turn=backfill.turn + 1):
        logger.info("Backfill %d of schedule %s is completed", backfill.pk, backfill.row.name)
