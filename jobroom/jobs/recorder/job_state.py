"""Computes a job's state from its attempts and the last event about it."""

import dataclasses
import itertools
from datetime import datetime
from typing import Any

from jobroom.jobs.models import FINISHED, Attempt, Job, State
from jobroom.jobs.recorder.parse import moment
from jobroom.jobs.recorder.state_machine import Life

# So many executions are remembered that left no attempt; only events delivered again ask for them.
_WAITED_KEPT = 20
_WAITS = frozenset({State.QUEUED, State.SCHEDULED})


@dataclasses.dataclass(slots=True)
class _Verdict:
    """The latest thing that is known of a job: its state, since when, and why."""

    state: State | None
    event: int
    at: datetime | None
    error: str = ""
    error_type: str = ""
    traceback: str = ""


def conclude(life: Life, now: datetime) -> None:
    """Set everything about the job and its attempts that follows from the facts."""
    attempts = _in_order(life)
    current = attempts[-1] if attempts else None
    closing = _closing(life.job)
    verdict = _of_attempt(current)
    if closing and closing.event > verdict.event and verdict.state not in FINISHED:
        verdict = closing
    verdict = _queued_again(life.job, verdict, closing, now)
    noticed = _closing(life.job, "noticed")
    if noticed and noticed.event > verdict.event and verdict.state not in FINISHED:
        verdict = noticed
    _conclude_attempts(life, attempts, closing)
    _write(life.job, attempts, verdict)
    _write_answer(life, verdict)
    _place(life.job)


def _place(job: Job) -> None:
    """Take a job that gave its place away out of its queue, until its message comes, or it ends: then it may be retried there."""
    replaced = job.facts.get("replaced", {})
    if job.gave_its_place:
        if job.queue:
            job.facts = {**job.facts, "replaced": {**replaced, "queue": job.queue}}
        job.queue = ""
    elif not job.queue:
        job.queue = replaced.get("queue", "")


def _in_order(life: Life) -> list[Attempt]:
    """Return the attempts by their starts; those whose start is not known yet are older than all others.

    Of the attempts that only found a lock busy the last one is kept: a job may wait for hours.
    """
    found = sorted(
        life.attempts.values(),
        key=lambda a: (a.started_event is not None, a.started_event or a.finished_event or 0),
    )
    waited = [a for a in found[:-1] if a.state == State.QUEUED and a.started_event is not None]
    for attempt in waited:
        del life.attempts[attempt.execution]
        life.touched.discard(attempt.execution)
        life.dropped.append(attempt)
    if waited:
        executions = [*life.job.facts.get("waited", ()), *(a.execution for a in waited)]
        life.job.facts = {**life.job.facts, "waited": executions[-_WAITED_KEPT:]}
    return [a for a in found if a.execution in life.attempts]


def _of_attempt(attempt: Attempt | None) -> _Verdict:
    if attempt is None:
        return _Verdict(None, 0, None)
    if attempt.finished_event is None:
        return _Verdict(State.RUNNING, attempt.started_event or 0, attempt.started_at)
    return _Verdict(
        State(attempt.state),
        attempt.finished_event,
        attempt.finished_at,
        attempt.error,
        attempt.error_type,
        attempt.traceback,
    )


def _closing(job: Job, kind: str = "closing") -> _Verdict | None:
    noted = job.facts.get(kind)
    if not noted:
        return None
    return _Verdict(
        State(noted["state"]),
        noted["event"],
        moment(noted["at"]),
        noted["error"],
        noted["error_type"],
        noted["traceback"],
    )


def _queued_again(job: Job, verdict: _Verdict, closing: _Verdict | None, now: datetime) -> _Verdict:
    """Return the verdict after the latest queueing: new, if that is younger than everything else."""
    if verdict.state == State.RUNNING or job.queued_event <= verdict.event:
        return verdict if verdict.state else _Verdict(State.QUEUED, 0, None)
    if verdict.at is not None and job.queued_at is not None and job.queued_at < verdict.at:
        return verdict  # reported late
    if closing and closing.event > job.queued_event:
        return closing
    waits = job.run_after is not None and job.run_after > now
    return _Verdict(State.SCHEDULED if waits else State.QUEUED, job.queued_event, job.queued_at)


def _conclude_attempts(life: Life, attempts: list[Attempt], closing: _Verdict | None) -> None:
    """Number the attempts and close those whose end no one reported."""
    number = 0
    for attempt, successor in itertools.zip_longest(attempts, attempts[1:]):
        number += attempt.state != State.QUEUED or attempt.finished_event is None
        _conclude_attempt(life, attempt, successor, closing, max(number, 1))


def _conclude_attempt(
    life: Life, attempt: Attempt, successor: Attempt | None, closing: _Verdict | None, number: int
) -> None:
    end = None
    if attempt.finished_event is None:
        end = _concluded_end(attempt, successor, closing)
    before = (attempt.number, attempt.state, attempt.finished_at)
    attempt.number = number
    if end is not None:
        attempt.state = end.state or State.RUNNING
        attempt.finished_at = end.at if end.state != State.RUNNING else None
        attempt.error, attempt.error_type, attempt.traceback = end.error, end.error_type, end.traceback
    if before != (attempt.number, attempt.state, attempt.finished_at):
        life.touched.add(attempt.execution)


def _concluded_end(attempt: Attempt, successor: Attempt | None, closing: _Verdict | None) -> _Verdict:
    began, until = attempt.started_event or 0, (successor.started_event or 0) if successor else None
    if closing and closing.event > began and (until is None or closing.event < until):
        return closing
    if successor is None:
        return _Verdict(State.RUNNING, began, attempt.started_at)
    return _Verdict(State.LOST, began, successor.started_at, error="The job was started again elsewhere.")


def _write(job: Job, attempts: list[Attempt], verdict: _Verdict) -> None:
    current = attempts[-1] if attempts else None
    state = verdict.state or State.QUEUED
    job.state, job.state_event = state, verdict.event
    job.finished_at = verdict.at if state in FINISHED else None
    ended = state in FINISHED or state == State.RETRYING
    job.error = verdict.error if ended else ""
    job.error_type = verdict.error_type if ended else ""
    job.traceback = verdict.traceback if ended else ""
    job.attempts = sum(attempt.state != State.QUEUED for attempt in attempts)
    if current is None:
        return
    job.execution, job.worker, job.instance = current.execution, current.worker, current.instance
    job.started_at = current.started_at
    own = verdict.event == current.finished_event
    if own or verdict.event != job.facts.get("answered", {}).get("event"):
        job.result = current.result if own and state in FINISHED else None
    blocked = (own and state == State.SKIPPED) or (current.state == State.QUEUED and state in _WAITS)
    job.lock, job.holder = (current.lock, current.holder) if blocked else ("", "")


_NO_ANSWER: dict[str, Any] = {"event": 0, "answer_of": "", "likeness": None}


def _write_answer(life: Life, verdict: _Verdict) -> None:
    """Say whose answer the job waits for, or got, as long as nothing newer is known of it."""
    job = life.job
    answer = job.facts.get("answered") or _NO_ANSWER
    valid = bool(answer["event"]) and answer["event"] == verdict.event
    if not valid and job.state in _WAITS:
        answer = job.facts.get("awaited") or _NO_ANSWER
        valid = answer["event"] >= verdict.event and answer["event"] > job.queued_event
    job.answer_of = answer["answer_of"] if valid else ""
    job.likeness = answer["likeness"] if valid and job.is_finished else None
    if (
        valid
        and job.state == State.SUCCEEDED
        and not any(a.finished_event == verdict.event for a in life.attempts.values())
    ):
        # Without an execution of its own; what was applied before is in the row already.
        job.result = life.results.get(answer["event"], job.result)
