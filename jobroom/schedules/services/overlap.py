"""Decides what becomes of a run that is due while jobs of its schedule wait or run."""

import dataclasses

from django.db.models import QuerySet
from django_celery_beat.models import PeriodicTask

from jobroom.jobs import control, current_state
from jobroom.jobs.models import ACTIVE, Job, State
from jobroom.schedules.models import Overlap, RunState, ScheduledRun, SchedulePolicy
from jobroom.schedules.services import runs

# So many of the schedule's newest jobs are looked at.
LOOKED_AT = 200
# Runs of one schedule that wait at most, where all of them are to wait.
MOST_HELD = 1000

_STILL = {
    State.SCHEDULED: "still waits for its time",
    State.QUEUED: "still waits in its queue",
    State.RUNNING: "is still running",
    State.RETRYING: "is still to be tried again",
}


@dataclasses.dataclass(frozen=True)
class Decision:
    """What becomes of a run: None sends it now, a state keeps it from being sent, and says why."""

    state: RunState | None = None
    reason: str = ""


def in_flight(row: PeriodicTask, last_job: str = "") -> list[Job]:
    """Return the schedule's jobs that wait or run now, as exactly as can be known.

    What the database calls unfinished is looked up in the events that no recorder has written yet, and so is the job that
    was sent last, which the database may not hold yet. A job of which neither has heard was never sent, or its message is gone.
    """
    newest = Job.objects.filter(schedule=row.name).exclude(schedule="").order_by("-created_at")
    states = dict(newest.values_list("pk", "state")[:LOOKED_AT])
    asked = [pk for pk, state in states.items() if state in ACTIVE]
    if last_job and last_job not in states:
        asked.append(last_job)
    return [job for pk in asked if (job := current_state.job(pk)) is not None and job.state in ACTIVE]


def decide(row: PeriodicTask, policy: SchedulePolicy | None, job: str = "") -> Decision:
    """Return what becomes of a run that is due now, as the job `job`; where the old job is to make room, it is asked to end."""
    if policy is None or policy.overlap == Overlap.ALLOW:
        return Decision()
    busy = in_flight(row, policy.last_job)
    waiting = runs.ready(
        ScheduledRun.objects.filter(row=row, backfill=None, state__in=runs.OPEN).exclude(
            state=RunState.SENDING, job=job
        )
    )
    if not busy and not waiting.exists():
        return Decision()
    why = still(busy) if busy else "an earlier run waits to be sent"
    match policy.overlap:
        case Overlap.SKIP:
            return Decision(RunState.SKIPPED, f"skipped: {why}")
        case Overlap.CANCEL_OLD:
            return _in_place_of(busy, waiting, why)
        case Overlap.QUEUE_ONE if waiting.exists():
            return Decision(RunState.SKIPPED, f"skipped: {why}, and one run waits already")
        case Overlap.QUEUE_ALL if waiting.count() >= MOST_HELD:
            return Decision(RunState.SKIPPED, f"skipped: {why}, and {MOST_HELD} runs wait already")
    return Decision(RunState.HELD, f"waits: {why}")


def still(jobs: list[Job]) -> str:
    """Return what the first of some jobs still does, and how many more there are."""
    more = f", and {len(jobs) - 1} more" if len(jobs) > 1 else ""
    return f"job {jobs[0].pk} {_STILL[State(jobs[0].state)]}{more}"


def _in_place_of(busy: list[Job], waiting: "QuerySet[ScheduledRun]", why: str) -> Decision:
    waiting.filter(state=RunState.HELD).update(
        state=RunState.SKIPPED, reason="skipped: a later run has taken its place"
    )
    ids = [job.pk for job in busy if not job.cancel_at]
    if ids:
        control.ask_to_end(Job.objects.filter(pk__in=ids), ids, "a later run of its schedule")
    return Decision(RunState.HELD, f"waits: {why}, and was asked to end")
