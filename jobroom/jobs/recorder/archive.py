"""Copies finished jobs into the table of django-celery-results, for code that reads it.

Where Celery's own results go there too (`django-db`), its rows stay as the backend wrote them: those who ask for a result get
what the task returned, and not what is shown of it, shortened and without secrets.
"""

import json
from collections.abc import Iterable
from typing import Any

from celery import current_app, states
from django.utils import timezone

from jobroom.arguments.redaction import hide
from jobroom.jobs.models import ArchivedResult, Job, State
from jobroom.jobs.recorder import rows

# To Celery a skipped job is a success with a text, and a lost one failed.
STATUS = {
    State.SUCCEEDED: states.SUCCESS,
    State.SKIPPED: states.SUCCESS,
    State.FAILED: states.FAILURE,
    State.LOST: states.FAILURE,
    State.CANCELLED: states.REVOKED,
}
_META = '{"children": []}'
# Made once: json.dumps makes one for each call that is not plain.
_encode = json.JSONEncoder(ensure_ascii=False).encode
_COLUMNS = [field.name for field in ArchivedResult._meta.concrete_fields if field.name not in {"id", "task_id"}]


def write(jobs: Iterable[Job]) -> None:
    """Write or overwrite the results of finished jobs.

    Raises IntegrityError when someone else wrote one of them at the same moment: do it again.
    """
    archived = {job.pk: _archived(job) for job in jobs}
    if not archived:
        return
    # Few are there already, and to insert what is not costs half as much as to see about each.
    there = rows.present(ArchivedResult, "task_id", archived)
    rows.insert(ArchivedResult, [row for key, row in archived.items() if key not in there])
    if _holds_results():
        return
    rows.insert(
        ArchivedResult, [row for key, row in archived.items() if key in there], unique=["task_id"], update=_COLUMNS
    )


def _holds_results() -> bool:
    """Return whether the table is also Celery's result backend."""
    backend = str(current_app.conf.result_backend or "")
    return backend.partition("+")[0] == "django-db" or backend.startswith("django_celery_results.backends.database")


def _archived(job: Job) -> ArchivedResult:
    return rows.new(
        ArchivedResult,
        task_id=job.pk,
        periodic_task_name=job.schedule or None,
        task_name=job.task,
        task_args=_text(job.args),
        task_kwargs=_text(job.kwargs),
        status=STATUS[State(job.state)],
        worker=job.worker[:100] or None,
        result=_text(_result(job)),
        date_created=job.created_at,
        date_started=job.started_at,
        date_done=job.finished_at or timezone.now(),
        traceback=job.traceback or None,
        meta=_META,
    )


def _result(job: Job) -> Any:
    if job.state in {State.SUCCEEDED, State.SKIPPED}:
        return hide(job.result)  # a node's is kept for those who need it, its secrets sealed
    return {"exc_type": job.error_type or job.state, "exc_message": [job.error], "exc_module": "builtins"}


def _text(value: Any) -> str:
    return "null" if value is None else _encode(value)
