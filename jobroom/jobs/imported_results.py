"""Imports the rows of django-celery-results into the history: what ran before Jobroom was there."""

import ast
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from celery import current_app, states
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobroom import truncation
from jobroom.arguments import redaction
from jobroom.arguments.storable import plain
from jobroom.conf import settings as limits
from jobroom.jobs import hourly_counts
from jobroom.jobs.conf import settings
from jobroom.jobs.models import ArchivedResult, Attempt, Job, Source, State
from jobroom.jobs.recorder.parse import result_of_text

BATCH = 1000
# The execution of imported attempts: a job has at most one.
EXECUTION = "imported"
TAG = "imported"
JSON = "application/json"
_STATES = {states.SUCCESS: State.SUCCEEDED, states.FAILURE: State.FAILED, states.REVOKED: State.CANCELLED}
# A batch is tried again when a recorder wrote one of its jobs at the same moment.
_TRIES = 5

Notify = Callable[[int], object]


@dataclass
class Imported:
    """What an import has found and made, in numbers of results."""

    seen: int = 0
    present: int = 0  # had a job already
    states: Counter[str] = field(default_factory=Counter)  # made, by the state of the job
    unfinished: Counter[str] = field(default_factory=Counter)  # left out, by Celery's state
    nameless: int = 0  # made without the name of a task, which was not kept
    as_text: int = 0  # made with arguments, or a result, that could not be read as JSON
    old: int = 0  # made, and old enough that the next clean-up of jobs deletes them

    @property
    def made(self) -> int:
        """How many jobs were made."""
        return self.states.total()


def import_results(*, unfinished: bool = False, dry_run: bool = False, notify: Notify = lambda count: None) -> Imported:
    """Make a finished job of each row of django-celery-results that has none; return what was found and made.

    Rows are read and written in batches, each in one transaction, so it may be interrupted and started again. The rows
    themselves stay as they are.

    Args:
        unfinished: make lost jobs of rows that have no end, instead of leaving them out.
        dry_run: write nothing.
        notify: hears the number of rows seen so far, after each batch.

    """
    report = Imported()
    for batch in _batches():
        _import(batch, report, unfinished=unfinished, dry_run=dry_run)
        notify(report.seen)
    return report


def _batches() -> Iterator[list[ArchivedResult]]:
    last = 0
    while batch := list(ArchivedResult.objects.filter(pk__gt=last).order_by("pk")[:BATCH]):
        yield batch
        last = batch[-1].pk


def _import(batch: Sequence[ArchivedResult], report: Imported, *, unfinished: bool, dry_run: bool) -> None:
    for tries_left in reversed(range(_TRIES)):
        there = set(Job.objects.filter(pk__in=[row.task_id for row in batch]).values_list("pk", flat=True))
        new = [row for row in batch if row.task_id not in there]
        jobs = [job_of(row) for row in new if unfinished or row.status in _STATES]
        try:
            if not dry_run:
                _write(jobs)
            break
        except IntegrityError:
            if not tries_left:
                raise
    report.seen += len(batch)
    report.present += len(there)
    report.states.update(job.state for job in jobs)
    if not unfinished:
        report.unfinished.update(row.status for row in new if row.status not in _STATES)
    report.nameless += sum(not job.task for job in jobs)
    report.as_text += sum(bool(job.note) for job in jobs)
    report.old += sum(_is_old(job) for job in jobs)


def _is_old(job: Job) -> bool:
    limit = timezone.now() - timedelta(days=settings.KEEP_DAYS)
    return bool(settings.KEEP_DAYS) and job.created_at < limit and (job.finished_at or limit) < limit


def _write(jobs: Sequence[Job]) -> None:
    with transaction.atomic():
        Job.objects.bulk_create(jobs)
        Attempt.objects.bulk_create(_attempt_of(job) for job in jobs if job.attempts)
        hourly_counts.add(Counter(key for job in jobs if (key := hourly_counts.key_of(job))))


def job_of(row: ArchivedResult) -> Job:
    """Return the job that a row of django-celery-results describes, not saved; one without an end is a lost one."""
    state = _STATES.get(row.status, State.LOST)
    ran = state in (State.SUCCEEDED, State.FAILED) or row.date_started is not None
    job = Job(
        pk=row.task_id,
        task=row.task_name or "",
        state=state,
        source=Source.SCHEDULE if row.periodic_task_name else "",
        schedule=row.periodic_task_name or "",
        worker=row.worker or "",
        attempts=int(ran),
        execution=EXECUTION if ran else "",
        tags=[TAG],
        created_at=min(row.date_created, row.date_started or row.date_created),
        started_at=row.date_started,
        finished_at=row.date_done,
        traceback=truncation.shorten(_clean(row.traceback or ""), limits.TRACEBACK_LIMIT),
    )
    kept_as_text = [*_add_arguments(job, row), *_add_end(job, row)]
    job.note = " ".join(kept_as_text)
    return job


def _attempt_of(job: Job) -> Attempt:
    return Attempt(
        job=job, execution=EXECUTION, worker=job.worker, state=job.state, started_at=job.started_at,
        finished_at=job.finished_at, result=job.result, error=job.error, error_type=job.error_type,
        runtime=(job.finished_at - job.started_at).total_seconds() if job.started_at and job.finished_at else None,
        traceback=job.traceback,
    )  # fmt: skip


def _add_arguments(job: Job, row: ArchivedResult) -> Iterator[str]:
    """Give the job its arguments; yield what can be said of those that are known as text alone."""
    args, kwargs = _value(row.task_args), _value(row.task_kwargs)
    task = current_app.tasks.get(job.task)
    if isinstance(args, list | None) and isinstance(kwargs, dict | None):
        job.args, job.kwargs = redaction.hide_arguments(getattr(task, "run", None), args or [], kwargs or {})
        return
    # Run again with what only looks like its arguments, it would do something else: see `control.unfit_for_retry`.
    job.facts = {"arguments": "text"}
    if task is not None and redaction.takes_secret(task.run):
        yield "Its arguments could not be read, and are not shown because some of them are secret."
        return
    text = f"{_readable(row.task_args)} {_readable(row.task_kwargs)}".strip()
    yield f"Its arguments are known as text alone: {truncation.shorten(text, limits.LOG_LINE_LIMIT)}"


def _add_end(job: Job, row: ArchivedResult) -> Iterator[str]:
    """Give the job its result, or its error; yield what can be said of one that was not read."""
    if job.state == State.LOST:
        job.error = f"It had no end when it was imported: its state was {row.status}."
        return
    if row.result and (row.content_type != JSON or row.content_encoding == "binary"):
        # Never unpickled: anyone who can write into the table could run code here.
        yield f"Its result is {row.content_type} and was not read; django-celery-results has it under the same id."
        return
    task = current_app.tasks.get(job.task)
    is_secret = redaction.returns_secret(getattr(task, "run", None)) and job.state == State.SUCCEEDED
    value = redaction.HIDDEN if is_secret else redaction.hide(result_of_text(row.result))
    if job.state == State.SUCCEEDED:
        if job.task and value == f"{job.task} already running!":
            job.state = State.SKIPPED  # what an exclusive task answers whose lock is busy
        text = json.dumps(value)
        job.result = value if len(text) <= limits.RESULT_LIMIT else truncation.shorten(text, limits.RESULT_LIMIT)
    elif isinstance(value, dict):
        said = value.get("exc_message", "")
        said = ", ".join(map(str, said)) if isinstance(said, list) else str(said)
        job.error = truncation.shorten(_clean(said), limits.ERROR_LIMIT)
        job.error_type = str(value.get("exc_type", ""))[:255]
    elif value is not None:
        job.error = truncation.shorten(_clean(str(value)), limits.ERROR_LIMIT)


def _value(text: str | None) -> Any:
    """Return arguments as JSON: Celery keeps their `repr` as a JSON text, cut with dots where it is long.

    None where there are none, the text itself where it cannot be read.
    """
    found = result_of_text(text)
    if not isinstance(found, str):
        return found
    if "..." in found:
        return found
    try:
        return _as_json(ast.literal_eval(found))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return found


def _as_json(value: Any) -> Any:
    return result_of_text(json.dumps(value, allow_nan=False))


def _readable(text: str | None) -> str:
    found = result_of_text(text)
    return _clean(found if isinstance(found, str) else json.dumps(found)) if found is not None else ""


def _clean(text: str) -> str:
    return plain(redaction.hide_in_text(text))
