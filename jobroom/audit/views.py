"""The staff's page of the audit, and its download."""

import csv
import io
import json
from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobroom.audit.filters import ActFilter
from jobroom.audit.models import Act
from jobroom.web.staff import staff_only

COLUMNS = ("at", "who", "action", "kind", "target", "reason", "outcome")
# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@staff_only
@never_cache
@require_safe
def acts(request: HttpRequest) -> HttpResponse:
    """Show the acts that the address asks for."""
    wanted = ActFilter(request.GET.dict(), request.user)
    return render(request, "jobroom/audit/acts.html", {"filter": wanted, "rendered_at": timezone.now()})


@staff_only
@never_cache
@require_safe
def export(request: HttpRequest, form: str) -> HttpResponseBase:
    """Hand out all acts that match, as `csv` or as `json`, whatever their number."""
    found = ActFilter(request.GET.dict(), request.user).ordered().iterator(chunk_size=1000)
    lines, kind = (_csv(found), "text/csv") if form == "csv" else (_json(found), "application/json")
    answer = StreamingHttpResponse(lines, content_type=f"{kind}; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="audit.{form}"'
    return answer


def _values(act: Act) -> dict[str, str]:
    return {name: str(getattr(act, name)) for name in COLUMNS} | {"at": act.at.isoformat()}


def _csv(found: Iterator[Act]) -> Iterator[str]:
    yield _line(COLUMNS)
    for act in found:
        yield _line([f"'{value}" if value.startswith(_FORMULA) else value for value in _values(act).values()])


def _line(values: "list[str] | tuple[str, ...]") -> str:
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return text.getvalue()


def _json(found: Iterator[Act]) -> Iterator[str]:
    between = "["
    for act in found:
        yield f"{between}\n{json.dumps(_values(act), ensure_ascii=False)}"
        between = ","
    yield "[]\n" if between == "[" else "\n]\n"
