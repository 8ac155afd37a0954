"""The jobs that a list shows, as a file: CSV for spreadsheets, JSON for programs."""

import csv
import io
from collections.abc import Iterator
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobroom.jobs import policies
from jobroom.jobs.filters import JobFilter
from jobroom.jobs.models import Job
from jobroom.users import User

# So many jobs are in one file, read so many at a time.
MOST, STEP = 10_000, 500
COLUMNS = (
    *("id", "task", "state", "label", "owner", "queue", "source", "schedule", "workflow", "attempts"),
    *("created_at", "queued_at", "started_at", "finished_at", "seconds", "error_type", "error"),
)
# What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@login_required
@never_cache
@require_safe
def export(request: HttpRequest) -> HttpResponse:
    """Answer with the jobs that the address asks for, newest first; `format` is csv or json."""
    user = cast("User", request.user)  # login_required has seen to it
    query = request.GET.dict()
    kind = query.pop("format", "csv")
    rows = list(_rows(query, user))
    cut = len(rows) > MOST
    answer = _json(rows[:MOST], cut=cut) if kind == "json" else _csv(rows[:MOST], cut=cut)
    answer.headers["Content-Disposition"] = f'attachment; filename="jobs.{"json" if kind == "json" else "csv"}"'
    return answer


def _rows(query: dict[str, str], user: User) -> Iterator[dict[str, Any]]:
    """Yield at most one row more than a file has."""
    found, count = JobFilter(query, user, STEP), 0
    while True:
        for job in found.rows:
            yield _row(job, user)
            count += 1
            if count > MOST:
                return
        if not found.next_place:
            return
        found = JobFilter({**query, "before": found.next_place}, user, STEP)


def _row(job: Job, user: User) -> dict[str, Any]:
    readable = policies.may_see_arguments(user, job)
    values = {name: getattr(job, name, None) for name in COLUMNS}
    runtime = job.runtime
    return values | {
        "label": job.label if readable else None,
        "owner": job.owner.get_username() if job.owner else None,
        "workflow": job.workflow_id,
        "seconds": round(runtime.total_seconds(), 3) if runtime else None,
        "error_type": job.error_type if readable else None,
        "error": job.error if readable else None,
    }


def _json(rows: list[dict[str, Any]], *, cut: bool) -> HttpResponse:
    return JsonResponse({"complete": not cut, "results": rows})


def _csv(rows: list[dict[str, Any]], *, cut: bool) -> HttpResponse:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in COLUMNS])
    if cut:
        writer.writerow([f"Only the newest {MOST} jobs are in this file: narrow the filter for the others."])
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8")


def _cell(value: Any) -> str:
    """Return a value as a cell: a text that a spreadsheet would compute is marked as text."""
    if value is None:
        return ""
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
