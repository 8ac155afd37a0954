"""Reads from Celery's result backend how a job ended whose event was lost."""

from datetime import UTC, datetime
from typing import Any

from celery import states
from celery.exceptions import WorkerLostError
from kombu.utils.json import dumps

from jobroom import safe_text, truncation
from jobroom.celery import known_tasks
from jobroom.celery.results import kept_result
from jobroom.conf import settings
from jobroom.exceptions import WorkerLost
from jobroom.jobs.models import Job

_STATES = {states.SUCCESS: "succeeded", states.FAILURE: "failed", states.REVOKED: "cancelled"}


def known_end(job: Job, before: datetime | None = None) -> dict[str, Any] | None:
    """Return the data of a `finished` event for the job's current attempt, None when it has no result of its own.

    With `before` the result must be older than that moment.
    """
    found = kept_result(job.pk)
    state = _STATES.get(found.state) if found else None
    if found is None or state is None or not _is_of_this_attempt(found, job, before):
        return None
    if state == "succeeded":
        text = dumps(found.result)
        return {"state": state, "result": text if len(text) <= settings.RESULT_LIMIT else None}
    error = found.result
    return {
        "state": "lost" if isinstance(error, WorkerLostError | WorkerLost) else state,
        "error": truncation.shorten(known_tasks.words(error, job.task), settings.ERROR_LIMIT),
        "error_type": safe_text.error_type(error),
        "traceback": truncation.shorten(safe_text.text_of(found.traceback or ""), settings.TRACEBACK_LIMIT),
    }


def _is_of_this_attempt(found: Any, job: Job, before: datetime | None) -> bool:
    """Return whether the result is younger than the start: an older one is that of an earlier attempt."""
    at = found.date_done
    if at is None or job.started_at is None:
        return False
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return bool(at >= job.started_at and (before is None or at < before))
