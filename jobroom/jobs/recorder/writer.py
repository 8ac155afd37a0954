"""Writes a batch of events into the database in one transaction."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TypeVar

from django.db import transaction
from django.utils import timezone

from jobroom import housekeeping_loops
from jobroom.jobs import durations, failures, hourly_counts, labels
from jobroom.jobs.models import FINISHED, Attempt, Job, LogLine, StoredFile
from jobroom.jobs.recorder import archive, rows
from jobroom.jobs.recorder.job_state import conclude
from jobroom.jobs.recorder.parse import Event
from jobroom.jobs.recorder.state_machine import Life
from jobroom.users import User

Key = TypeVar("Key")

# What a row has on its own is not the recorder's to change: the owner, and what only a launch knows.
_KEPT = frozenset({"owner_id", "note", "tags", "caching"})


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """The state of a job before a batch (empty for a new job) and after it, and the event from which it follows."""

    job_id: str
    task: str
    state: str
    previous: str
    workflow_id: str = ""
    node: str = ""
    event: int = 0
    queue: str = ""
    waited: float | None = None  # seconds from its turn to its start
    took: float | None = None  # seconds from its start to its end


def write(events: Sequence[Event]) -> list[Change]:
    """Apply events about the life of jobs, all or none; return what changed its state.

    Of a job that is a node also what began or ended once more: its workflow may have forgotten that it had.

    Raises IntegrityError when another recorder wrote one of the new jobs at the same moment: do it again.
    """
    now = timezone.now()
    with transaction.atomic():
        lives = _load(events)
        for event in events:
            lives[event.job].apply(event)
        for life in lives.values():
            conclude(life, now)
            life.job.fingerprint = failures.fingerprint_of(life.job)
        _give_owners(lives.values())
        _save(list(lives.values()))
    _name_arguments(lives.values())
    return [
        _change(life)
        for life in lives.values()
        if life.job.state != life.before or (life.job.workflow_id and life.touched)
    ]


def _change(life: Life) -> Change:
    job = life.job
    turn = max((moment for moment in (job.queued_at, job.run_after) if moment is not None), default=None)
    return Change(
        job_id=job.pk,
        task=job.task,
        state=job.state,
        previous=life.before,
        workflow_id=job.workflow_id,
        node=job.node,
        event=job.state_event,
        queue=job.queue,
        waited=_seconds(turn, job.started_at),
        # What another job answered did not take the time until it had that answer.
        took=None if job.answer_of else _seconds(job.started_at, job.finished_at),
    )


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    """Return the time between, never less than nothing: two clocks need not agree."""
    return None if begin is None or end is None else max(0.0, (end - begin).total_seconds())


def _load(events: Sequence[Event]) -> dict[str, Life]:
    """Return the jobs of the events with their attempts, locked until the transaction ends."""
    firsts: dict[str, Event] = {}
    for event in events:
        firsts.setdefault(event.job, event)
    # In the order of their ids, so that two recorders never wait for each other.
    known = {job.pk: job for job in rows.load(Job, "id", firsts, lock=True)}
    lives = {
        job_id: Life(known[job_id], {}, False, known[job_id].state)
        if job_id in known
        else Life(rows.new(Job, id=job_id, created_at=first.at), {}, True, "")
        for job_id, first in firsts.items()
    }
    if known:
        for attempt in rows.load(Attempt, "job_id", known):
            lives[attempt.job_id].attempts[attempt.execution] = attempt
    return lives


def _give_owners(lives: Iterable[Life]) -> None:
    """Set the owners of jobs that someone's schedule launched, as far as those people still exist."""
    wanted = {life.owner for life in lives if life.owner is not None}
    if not wanted:
        return
    known = set(User.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    for life in lives:
        if life.owner not in known:
            continue
        life.job.owner_id = life.owner
        if not life.is_new:  # of rows that are there the recorder writes everything but this
            Job.objects.filter(pk=life.job.pk, owner=None).update(owner=life.owner)


def _name_arguments(lives: Iterable[Life]) -> None:
    """Write into labels what rows and files are called whose ids code has sent; of jobs whose owner may see them.

    After the commit: what models of others raise is no fault of the history.
    """
    jobs = [life.job for life in lives if life.labelled and life.job.owner_id and labels.has_ids(life.job.task)]
    owners = User.objects.in_bulk({job.owner_id for job in jobs}) if jobs else {}
    for owner in owners.values():
        with housekeeping_loops.isolated("naming arguments", f"jobs of {owner.get_username()}"):
            theirs = [job for job in jobs if job.owner_id == owner.pk]
            texts = labels.with_names(theirs, owner)
            changed = [job for job in theirs if texts.get(job.pk, job.label) != job.label]
            for job in changed:
                job.label = texts[job.pk]
            Job.objects.bulk_update(changed, ["label"])


def _save(lives: list[Life]) -> None:
    rows.insert(Job, [life.job for life in lives if life.is_new])
    rows.update(Job, [life.job for life in lives if not life.is_new], keep=_KEPT)
    _save_attempts(lives)
    LogLine.objects.bulk_create(_flat(life.lines for life in lives), ignore_conflicts=True)
    StoredFile.objects.bulk_create([file for life in lives for file in life.files], ignore_conflicts=True)
    archive.write([life.job for life in lives if life.job.is_finished])
    hourly_counts.add(_counted(lives))
    durations.add(_timed(lives))
    _count_failures(lives)


def _counted(lives: Iterable[Life]) -> Counter[hourly_counts.Key]:
    """Return what the ends of a batch change in the tallies; one that is corrected moves from its old place."""
    found: Counter[hourly_counts.Key] = Counter()
    for life in lives:
        now = hourly_counts.key_of(life.job)
        if now is None:
            continue
        before = hourly_counts.key_of(rows.Before(life.job)) if life.before in FINISHED else None
        _move(found, before, now)
    return found


def _timed(lives: Iterable[Life]) -> Counter[durations.Key]:
    """Return what a batch changes in the counts of waits and runs; what is corrected moves from its old place."""
    found: Counter[durations.Key] = Counter()
    for life in lives:
        was = None if life.is_new else rows.Before(life.job)
        before = durations.took_key(was) if was is not None and life.before in FINISHED else None
        _move(found, before, durations.took_key(life.job))
        for execution in life.touched:
            attempt = life.attempts[execution]
            _move(found, _wait_before(was, attempt), durations.wait_key(life.job, attempt))
        for attempt in life.dropped:
            _move(found, _wait_before(was, attempt), None)
    return found


def _wait_before(was: rows.Before | None, attempt: Attempt) -> durations.Key | None:
    return None if was is None or attempt._state.adding else durations.wait_key(was, rows.Before(attempt))


def _move(found: Counter[Key], before: Key | None, now: Key | None) -> None:
    if before == now:
        return
    if now is not None:
        found[now] += 1
    if before is not None:
        found[before] -= 1


def _count_failures(lives: Iterable[Life]) -> None:
    """Count failures by their cause; one that is corrected moves from its old place. One that is run again did fail."""
    changes: Counter[failures.Key] = Counter()
    failed = []
    for life in lives:
        if life.job.state not in FINISHED:
            continue
        now = failures.key_of(life.job)
        before = failures.key_of(rows.Before(life.job)) if life.before in FINISHED else None
        if before == now:
            continue
        if now is not None:
            changes[now] += 1
            failed.append(life.job)
        if before is not None:
            changes[before] -= 1
    if changes:
        failures.add(changes, failed)


def _save_attempts(lives: list[Life]) -> None:
    touched = [life.attempts[execution] for life in lives for execution in life.touched]
    rows.insert(Attempt, [attempt for attempt in touched if attempt._state.adding])
    rows.update(Attempt, [attempt for attempt in touched if not attempt._state.adding])
    dropped = [attempt.pk for life in lives for attempt in life.dropped if not attempt._state.adding]
    if dropped:
        Attempt.objects.filter(pk__in=dropped).delete()


def _flat(groups: Iterable[list[LogLine]]) -> list[LogLine]:
    return sorted((line for group in groups for line in group), key=attrgetter("pk"))
