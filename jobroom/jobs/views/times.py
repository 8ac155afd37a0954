"""The page of how long jobs waited and ran."""

from collections.abc import Sequence
from typing import cast
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobroom.arguments.storable import plain
from jobroom.jobs import percentiles, policies, spread_chart
from jobroom.jobs.task_titles import title
from jobroom.jobs.views.pages import freshness
from jobroom.users import User


@login_required
@never_cache
@require_safe
def times(request: HttpRequest) -> HttpResponse:
    """Show waits and durations over the span that the address asks for, of one task or queue where it names them."""
    span = percentiles.SPANS.get(request.GET.get("span", ""), percentiles.SPANS[percentiles.USUAL])
    chosen = {name: plain(request.GET.get(name, "")).strip()[:255] for name in ("task", "queue")}
    numbers = percentiles.numbers(cast("User", request.user), span, task=chosen["task"], queue=chosen["queue"])
    parts = {name: value for name, value in chosen.items() if value}
    context = {
        **freshness(),
        **chosen,
        # No title of a task that the person may not know of.
        "called": title(chosen["task"]) if policies.may_know_of(request.user, chosen["task"]) else chosen["task"],
        "numbers": numbers,
        "charts": spread_chart.charts(numbers),
        "spans": [(each.words, _link(parts, span=each.name), each is span) for each in percentiles.SPANS.values()],
        "steps": [(step, spread_chart.moment_words(step, span), "") for step in reversed(numbers.steps)],
        "tables": [
            ("task", "Tasks", _rows(numbers.tasks, "task", chosen, span)),
            ("queue", "Queues", _rows(numbers.queues, "queue", chosen, span)),
        ],
        "all_link": _link({}, span=span.name),
    }
    return render(request, "jobroom/jobs/times.html", context)


def _rows(
    found: Sequence[percentiles.Both], column: str, chosen: dict[str, str], span: percentiles.Span
) -> list[tuple[percentiles.Both, str, str]]:
    """Return what a table shows, each with its name and the address that chooses it, or that no longer does."""
    others = {name: value for name, value in chosen.items() if value and name != column}
    return [
        (row, row.name, _link(others if chosen[column] else {**others, column: row.name}, span=span.name))
        for row in found
    ]


def _link(parts: dict[str, str], *, span: str) -> str:
    return "?" + urlencode({"span": span, **parts})
