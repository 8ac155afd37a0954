"""Retries a cause of failures in stages: one job, then ten, then the rest; the same cause coming back ends it.

All that is known of one is in the database, and the recorder's rounds of housekeeping do the next step: when a process is killed,
another one goes on. A job is claimed by a row that is written, and committed, before it is sent; a claim is never made twice.
So one whose sender was killed in between stays failed, and is said to be left alone.

A stage is over when as many jobs as it has were sent and all have ended, at least one of them well. Silence moves nothing on.
"""

import dataclasses
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, OuterRef
from django.utils import timezone

from jobroom import housekeeping_loops
from jobroom.arguments import WrongArguments
from jobroom.jobs import control, policies
from jobroom.jobs.exceptions import JobError, NotNow
from jobroom.jobs.models import FINISHED, Job, State
from jobroom.jobs.querysets import JobQuerySet
from jobroom.jobs.staged_models import StagedJob, StagedOutcome, StagedRetry, StagedState
from jobroom.limits import TooMany
from jobroom.signals import acted
from jobroom.users import User

# Jobs of each stage; None is all that are left.
STAGES: tuple[int | None, ...] = (1, 10, None)
# One retry takes so many jobs at most; the others are left for the next.
MOST = 10_000
# In one round so many jobs are sent, and for so many seconds.
PER_ROUND, SECONDS = 200, 2.0
# A claim of which the history knows nothing after so long was made by a process that died before it sent the job.
UNHEARD = timedelta(minutes=2)
_OPEN = (StagedOutcome.SENDING, StagedOutcome.SENT)


@dataclasses.dataclass(frozen=True)
class Standing:
    """One retry in stages with its numbers."""

    retry: StagedRetry
    numbers: dict[str, int]  # by outcome
    reasons: list[tuple[str, int]]  # why jobs were left alone, the most frequent first

    @property
    def sent(self) -> int:
        """How many jobs were sent again."""
        return sum(self.numbers.values()) - self.numbers.get(StagedOutcome.LEFT, 0)

    @property
    def open(self) -> int:
        """How many of them have not ended yet."""
        return sum(self.numbers.get(outcome, 0) for outcome in _OPEN)

    @property
    def size(self) -> int | None:
        """How many jobs its stage has; None for all that are left."""
        return STAGES[self.retry.stage - 1]

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.retry.state == StagedState.RUNNING

    def __str__(self) -> str:
        if self.running:
            size = {1: "one job", None: "all others"}.get(self.size, f"{self.size} jobs")
            head = f"Stage {self.retry.stage} of {len(STAGES)}, {size}"
        else:
            head = StagedState(self.retry.state).label
        said = [
            f"{self.numbers[outcome]:,} {words}" for outcome, words in _WORDS.items() if self.numbers.get(outcome, 0)
        ]
        return f"{head}: {', '.join(said) or 'none sent yet'}. {self.retry.why}".strip()


_WORDS = {
    StagedOutcome.SUCCEEDED: "succeeded",
    StagedOutcome.SAME: "failed for the same cause",
    StagedOutcome.OTHER: "ended otherwise",
    StagedOutcome.SENDING: "being sent",
    StagedOutcome.SENT: "not ended yet",
    StagedOutcome.LEFT: "left alone",
}


def latest(group: str) -> Standing | None:
    """Return the latest retry in stages of a cause, None where there was none."""
    retry = StagedRetry.objects.filter(group_id=group).order_by("-id").first()
    return standing(retry) if retry is not None else None


def standing(retry: StagedRetry) -> Standing:
    """Return a retry with its numbers."""
    counted = retry.jobs.values_list("outcome").annotate(Count("pk"))
    left = retry.jobs.filter(outcome=StagedOutcome.LEFT).values_list("why").annotate(number=Count("pk"))
    return Standing(retry, dict(counted), list(left.order_by("-number", "why")[:5]))


def begin(*, group: str, by: User | None, who: str) -> str:
    """Begin to retry the jobs of a cause; return the sentence about it. `by` None is someone with a shell.

    Raises NotNow where one is under way, or where no job has failed for the cause.
    """
    rows = _failed(group, by, timezone.now())
    total = rows[: MOST + 1].count()
    if not total:
        raise NotNow("No job that you may see has failed for this cause and stayed so.")
    try:
        with transaction.atomic():
            StagedRetry.objects.create(
                group_id=group, by=by, by_machine=by is None, who=who[:255], total=min(total, MOST)
            )
    except IntegrityError as error:
        raise NotNow("A retry in stages of this cause is under way already.") from error
    number = f"{total:,}" if total <= MOST else f"more than {MOST:,}"
    return f"Started for {number} failed jobs: one first, then ten, then the rest. It stops when the cause comes back."


def stop(*, group: str, who: str) -> str:
    """Send no further jobs; return the sentence about it. Raises NotNow where none is under way."""
    running = StagedRetry.objects.filter(group_id=group, state=StagedState.RUNNING).first()
    if running is None or not _end(running, StagedState.STOPPED, f"{who} stopped it."):
        raise NotNow("No retry in stages of this cause is under way.")
    found = standing(running)
    return f"Stopped: {found.sent:,} of {running.total:,} jobs were sent, and no further one is."


# Done by housekeeping ---------------------------------------------------------------------------------------------------
def go_on(known_until: datetime | None = None) -> None:
    """Do the next step of all that are under way. The history knows all that happened before `known_until`."""
    for retry in StagedRetry.objects.filter(state=StagedState.RUNNING).select_related("by").order_by("touched_at"):
        with housekeeping_loops.isolated("retries in stages", f"cause {retry.group_id}"):
            _step(retry, known_until or timezone.now())


def _step(retry: StagedRetry, known_until: datetime) -> None:
    _look(retry, known_until)
    if why := _why_not_on(retry):
        _end(retry, StagedState.HALTED, why)
        return
    room = _room(retry)
    if room <= 0:
        _next_stage(retry)
        return
    jobs = list(_failed(retry.group_id, retry.by, retry.created_at, retry)[:PER_ROUND])
    if jobs and retry.jobs.count() < MOST:
        _send(retry, jobs, room)
    elif not retry.jobs.filter(outcome__in=_OPEN).exists():
        more = f" It took {MOST:,} jobs, and others are left: begin another." if jobs else ""
        _end(retry, StagedState.DONE, f"Each job that it took was dealt with.{more}")


def _why_not_on(retry: StagedRetry) -> str:
    """Return why no further job may be sent: the cause came back, or the person may do this no longer."""
    if same := retry.jobs.filter(outcome=StagedOutcome.SAME).first():
        return f"The same cause came back with job {same.job_id}."
    if retry.by_machine:
        return ""
    if retry.by is None or not policies.asked_afresh(retry.by).is_active:
        return "The account of the person who began it is closed."
    return "" if policies.may_handle_failures(retry.by) else f"{retry.who} may not do this any more."


def _look(retry: StagedRetry, known_until: datetime) -> None:
    """Note how the jobs that were sent have ended."""
    rows = list(retry.jobs.filter(outcome__in=_OPEN))
    columns = ("state", "fingerprint", "queued_event", "execution")
    jobs = Job.objects.only(*columns).in_bulk([row.job_id for row in rows])
    for row in rows:
        outcome, why = _outcome(row, jobs.get(row.job_id), retry.group_id, known_until)
        if outcome != row.outcome:
            retry.jobs.filter(pk=row.pk).update(outcome=outcome, why=why)


def _outcome(row: StagedJob, job: Job | None, group: str, known_until: datetime) -> tuple[str, str]:
    if job is None:
        return StagedOutcome.LEFT, "It was deleted."
    if (job.queued_event, job.execution) == (row.queued_event, row.execution):
        if row.claimed_at + UNHEARD < known_until:
            return StagedOutcome.LEFT, "Its sender ended before it was sent. It is failed as before: retry it by hand."
        return row.outcome, ""
    if job.state not in FINISHED:
        return StagedOutcome.SENT, ""
    if job.state == State.SUCCEEDED:
        return StagedOutcome.SUCCEEDED, ""
    return (StagedOutcome.SAME if job.fingerprint == group else StagedOutcome.OTHER), ""


def _room(retry: StagedRetry) -> int:
    """Return how many more jobs its stage takes."""
    size = STAGES[retry.stage - 1]
    if size is None:
        return PER_ROUND
    return size - retry.jobs.filter(stage=retry.stage).exclude(outcome=StagedOutcome.LEFT).count()


def _next_stage(retry: StagedRetry) -> None:
    """Go to the next stage, when all jobs of this one have ended and at least one of them well."""
    in_stage = set(retry.jobs.filter(stage=retry.stage).values_list("outcome", flat=True))
    if in_stage & set(_OPEN):
        return
    if StagedOutcome.SUCCEEDED not in in_stage:
        _end(retry, StagedState.HALTED, f"None of stage {retry.stage} succeeded.")
        return
    rows = StagedRetry.objects.filter(pk=retry.pk, state=StagedState.RUNNING, stage=retry.stage)
    rows.update(stage=retry.stage + 1, touched_at=timezone.now())


def _send(retry: StagedRetry, jobs: Sequence[Job], room: int) -> None:
    """Send up to `room` of the jobs, as many as this round has time for."""
    until = time.monotonic() + SECONDS
    for job in jobs:
        if room <= 0 or time.monotonic() > until or not _claimed(retry, job):
            return
        try:
            room -= _sent(retry, job)
        except TooMany:
            retry.jobs.filter(job_id=job.pk, outcome=StagedOutcome.SENDING).delete()  # not sent: a later round tries
            return


def _failed(group: str, by: User | None, until: datetime, retry: StagedRetry | None = None) -> JobQuerySet:
    """Return the jobs with that cause that `by` may see and that ended before `until`, without those of `retry`."""
    rows = Job.objects.all() if by is None else Job.objects.visible_to(by)
    rows = rows.filter(fingerprint=group, finished_at__lte=until).order_by("-finished_at", "-id")
    return rows if retry is None else rows.exclude(Exists(retry.jobs.filter(job_id=OuterRef("pk"))))


def _claimed(retry: StagedRetry, job: Job) -> bool:
    """Write that the job is about to be sent; return False where it was stopped, or another process has claimed it."""
    try:
        with transaction.atomic():
            # This statement first: it holds the row, so a stop comes before it or after it.
            running = StagedRetry.objects.filter(pk=retry.pk, state=StagedState.RUNNING, stage=retry.stage)
            if not running.update(touched_at=timezone.now()):
                return False
            retry.jobs.create(job_id=job.pk, stage=retry.stage, queued_event=job.queued_event, execution=job.execution)
    except IntegrityError:
        return False
    return True


def _sent(retry: StagedRetry, job: Job) -> bool:
    """Send a claimed job; return whether that was possible. Whatever else is raised, the claim stays."""
    row = retry.jobs.filter(job_id=job.pk, outcome=StagedOutcome.SENDING)
    try:
        control.retry(job=job, by=retry.by)
    except (JobError, WrongArguments) as error:
        row.update(outcome=StagedOutcome.LEFT, why=str(error)[:500])
        return False
    row.update(outcome=StagedOutcome.SENT)
    return True


def _end(retry: StagedRetry, state: StagedState, why: str) -> bool:
    """End it, if it is under way; what it did by itself is kept in the audit as well."""
    changes: dict[str, Any] = {"state": state, "why": why[:500], "ended_at": timezone.now()}
    if not StagedRetry.objects.filter(pk=retry.pk, state=StagedState.RUNNING).update(**changes):
        return False
    for name, value in changes.items():
        setattr(retry, name, value)
    if state != StagedState.STOPPED:
        acted.send(
            sender=StagedRetry, who=retry.who, action="retried in stages", kind="failure", target=retry.group_id,
            outcome=str(standing(retry)),
        )  # fmt: skip
    return True


def shown(found: Standing | None) -> dict[str, Any] | None:
    """Return a retry as API and command show it."""
    if found is None:
        return None
    retry = found.retry
    return {
        "state": retry.state, "stage": retry.stage, "stages": len(STAGES), "total": retry.total, "sent": found.sent,
        "numbers": {str(outcome): found.numbers.get(outcome, 0) for outcome in StagedOutcome},
        "left_alone": dict(found.reasons), "who": retry.who, "why": retry.why, "said": str(found),
        "created_at": retry.created_at, "ended_at": retry.ended_at,
    }  # fmt: skip
