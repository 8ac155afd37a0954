"""Sends runs that had to wait: for the end of the job before them, or for their turn to be made up."""

import logging
import time
import uuid
from datetime import datetime
from typing import TYPE_CHECKING

from celery.beat import SchedulingError
from django.utils import timezone

from jobroom import housekeeping_loops
from jobroom.schedules import services
from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.models import Overlap, RunState, ScheduledRun
from jobroom.schedules.services import closures, overlap, runs

if TYPE_CHECKING:
    from jobroom.schedules.scheduler import Scheduler

logger = logging.getLogger(__name__)

# Schedules that one look sends for, and runs of all of them: what is due in time must not wait for what is late.
MOST_SCHEDULES, MOST_SENT = 50, 200
# Seconds between two looks for runs whose scheduler was killed while it sent them.
ABANDONED = 10.0
# A run's job id is made from its row, so a run that is sent again is the same job.
_JOBS = uuid.UUID("0d6f2a4c-93a6-4f0a-8f0b-6a1de5b3c7f2")


class HeldRuns:
    """What a scheduler remembers between two looks at the runs that wait."""

    def __init__(self) -> None:
        self._after: datetime | None = None
        self._abandoned_at = float("-inf")

    def send(self, scheduler: "Scheduler") -> None:
        """Send what waits and need not wait any longer; one that no one ended up sending waits again."""
        if time.monotonic() - self._abandoned_at > ABANDONED:
            runs.give_back_abandoned()
            self._abandoned_at = time.monotonic()
        number = 0
        while found := runs.first_held(MOST_SCHEDULES, self._after):
            went = sum(_sent(scheduler, run) for run in found)
            number += went
            if not went or number >= MOST_SENT:
                break
        self._after = found[-1].due if len(found) == MOST_SCHEDULES else None


def job_id(run: ScheduledRun) -> str:
    """Return the id of the job that a run which had to wait becomes; one that was being sent keeps what it was sent as."""
    if run.job and run.backfill_id is None:
        return run.job
    return str(uuid.uuid5(_JOBS, f"{run.pk}:{run.backfill_id}" if run.backfill_id else str(run.pk)))


def _sent(scheduler: "Scheduler", run: ScheduledRun) -> bool:
    """Return whether the run is dealt with, and the next one of its schedule may be looked at."""
    went = False
    with housekeeping_loops.isolated("sending runs that waited", f"schedule {run.row.name}"):
        if not _is_put_off(run) and not _is_kept_waiting(run) and runs.take(run):
            went = deal_with(scheduler, run)
    return went


def _is_put_off(run: ScheduledRun) -> bool:
    """Let a run wait on that may take place no more: its calendars close the schedule now."""
    found = closures.of(run.row)
    why = found.why(timezone.now()) if found is not None else ""
    if found is None or not why:
        return False
    until = found.opens(timezone.now())
    runs.put_off(run, until, closures.moved_to(until, why) if until else f"skipped: {why}")
    return True


def _is_kept_waiting(run: ScheduledRun) -> bool:
    policy = runs.policy_of(run.row)
    if policy is None or policy.overlap == Overlap.ALLOW:
        return False
    return bool(overlap.in_flight(run.row, policy.last_job))


def deal_with(scheduler: "Scheduler", run: ScheduledRun) -> bool:
    """Send a run that was taken, or write down why not; return False where the broker is away and it waits again."""
    if reason := services.refusal_of(run.row):
        runs.settle(run, RunState.SKIPPED, reason=f"skipped: {reason}")
        return True
    try:
        entry = scheduler.Entry(run.row, app=scheduler.app).of(run.due, job_id(run))
        scheduler.send(entry)
    except UnusableSchedule as error:
        runs.settle(run, RunState.SKIPPED, reason=f"skipped: {error}")
        return True
    except SchedulingError as error:
        if scheduler.is_away(error):
            runs.settle(run, RunState.HELD, job=run.job)
            return False
        logger.exception("Schedule %s could not send its job", run.row.name)
        runs.settle(
            run, RunState.SKIPPED, reason="skipped: its job could not be sent; the log of the scheduler says why"
        )
        return True
    runs.settle(run, RunState.SENT, job=job_id(run))
    return True
