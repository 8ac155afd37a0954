"""The overview, the list of jobs and the page of one."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, cast

from celery import current_app
from django.contrib.auth.decorators import login_required
from django.dispatch import Signal
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobroom.arguments import schema_of
from jobroom.events import consumer
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs import (
    catalogue,
    comparison,
    explanations,
    lateness,
    policies,
    queues,
    results,
    throughput,
    time_window,
)
from jobroom.jobs import recent_failures as failure_causes
from jobroom.jobs.filters import JobFilter, counts, jobs_at
from jobroom.jobs.models import Job, State, StoredFile
from jobroom.jobs.signals import attention_asked, coming_asked
from jobroom.jobs.views import kept_lists
from jobroom.users import User

# Rows of a list on the overview.
SHORT = 8
# Tasks that someone new is offered.
FIRST = 3
# Lines of a job's log that its page shows, the last ones.
LINES = 500
# Lines of a log that is downloaded.
MOST_LINES = 100_000
# From the least to the most serious; the page shows the chosen one and those after it.
LEVELS = ["debug", "info", "warning", "error"]
# Attempts that a job's page shows, the last ones.
ATTEMPTS = 50
# Files that it made and that its page lists.
FILES = 200
# A history that is less behind counts as up to date.
FRESH = 2.0


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)  # login_required has seen to it


def freshness() -> dict[str, object]:
    """Return what a page says about how far the recorder is behind."""
    try:
        lag = consumer.lag()
    except RedisUnavailable:
        return {"redis_away": True, "rendered_at": timezone.now()}
    return {"lag": lag, "behind": lag.seconds > FRESH, "rendered_at": timezone.now()}


def _newest(user: User, lists: Mapping[str, Sequence[str]]) -> dict[str, list[Job]]:
    """Return for each list the newest jobs in its states; a state is sought by itself, as it has its place in an index."""
    sought = {
        name: [place for state in states for place in JobFilter({"state": state}, user, SHORT).places]
        for name, states in lists.items()
    }
    jobs = jobs_at(itertools.chain.from_iterable(sought.values()))
    found = {name: [jobs[at] for at in sorted(places, reverse=True) if at in jobs] for name, places in sought.items()}
    # One may have gone on since its place was found, and would stand under the wrong heading.
    return {name: [job for job in found[name] if {"", job.state} & set(lists[name])][:SHORT] for name in lists}


@login_required
@never_cache
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Show what runs, how the last day went and why jobs failed, what waits for the person, and what comes next."""
    user = _user(request)
    numbers = counts(user)
    context: dict[str, object] = {"counts": numbers, "any": any(number.number for number in numbers.values())}
    context |= _day(user) if context["any"] else {"choices": _first_choices(user)}
    lists = _newest(user, {"running": [State.RUNNING], "latest": [""]})
    return render(request, "jobroom/jobs/overview.html", {**context, **lists, **freshness()})


def _day(user: User) -> dict[str, object]:
    """Return the parts of the overview that look further than the lists."""
    day = throughput.day_of(user)
    causes, more = failure_causes.of_last_day(user)
    return {
        "day": day,
        "day_picture": throughput.picture(day),
        "day_summary": throughput.summary(day),
        "causes": causes,
        "more_causes": more,
        "attention": _answers(attention_asked, user)[:SHORT],
        "coming": sorted(_answers(coming_asked, user))[:SHORT],
        "queues": queues.queues() if user.is_staff else [],
    }


def _answers(question: Signal, user: User) -> list[Any]:
    """Return what the other apps answer, together."""
    answers: list[tuple[Any, Any]] = question.send(sender=Job, user=user)
    return [one for _, found in answers for one in found or ()]


def _first_choices(user: User) -> list[catalogue.TaskEntry]:
    """Return tasks that someone new could launch at once, of different apps: those that need no answers come first."""
    tasks = current_app.tasks
    scheduled = {entry.get("task") for entry in current_app.conf.beat_schedule.values()}
    # What runs by itself is nothing to begin with, nor is what keeps Jobroom itself tidy.
    chores = {task.title for task in catalogue.entries() if task.name in scheduled or task.app == catalogue.OWN_APP}
    open_ones = [
        task
        for task in catalogue.entries()
        if policies.may_launch(user, task.name) and task.summary and task.title not in chores and not task.step_of
    ]
    needs = {one.name: sum(p.required for p in schema_of(tasks[one.name]).parameters) for one in open_ones}
    ordered = sorted(open_ones, key=lambda task: (needs[task.name], task.title.lower()))
    of_apps: dict[str, list[catalogue.TaskEntry]] = {}
    for task in ordered:
        of_apps.setdefault(task.app, []).append(task)
    rank = {task.name: n for some in of_apps.values() for n, task in enumerate(some)}
    return sorted(ordered, key=lambda task: rank[task.name])[:FIRST]


@login_required
@never_cache
@require_safe
def job_list(request: HttpRequest) -> HttpResponse:
    """Show the jobs that the address asks for."""
    user = _user(request)
    wanted = JobFilter(request.GET.dict(), user)
    may_act = any(policies.may_cancel(user, job) for job in wanted.rows)
    context = {
        "filter": wanted,
        "late": sum(lateness.numbers(Job.objects.visible_to(user)).values()),
        "total": wanted.total,
        "views": [(name, query, query == wanted.link()) for name, query in kept_lists.views_of(user)],
        "withins": time_window.WITHIN,
        "may_act": may_act,
        "why_not_act": ""
        if may_act
        else "You may only look at these jobs: their owners, staff, and groups with the right may act.",
    }
    return render(request, "jobroom/jobs/list.html", {**context, **freshness()})


@login_required
@never_cache
@require_safe
def log(request: HttpRequest, job_id: str) -> HttpResponseBase:
    """Hand out the whole log of a job as text, to those who may read its arguments."""
    user = _user(request)
    found = get_object_or_404(Job.objects.visible_to(user), pk=job_id.replace("\x00", ""))
    if not policies.may_see_arguments(user, found):
        raise Http404
    lines = found.log_lines.order_by("pk").values_list("at", "level", "message", "obj")[:MOST_LINES]
    text = "".join(f"{at.isoformat()} {level} {' '.join(filter(None, said))}\n" for at, level, *said in lines)
    answer = HttpResponse(text, content_type="text/plain; charset=utf-8")
    answer.headers["Content-Disposition"] = 'attachment; filename="log.txt"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


@login_required
@never_cache
@require_safe
def job(request: HttpRequest, job_id: str) -> HttpResponse:
    """Show one job; who may not see it learns nothing, not even that it exists."""
    user = _user(request)
    visible = Job.objects.visible_to(user)
    found = get_object_or_404(visible.select_related("owner"), pk=job_id.replace("\x00", ""))
    level = request.GET.get("level", "")
    shown = (
        found.log_lines.filter(level__in=LEVELS[LEVELS.index(level) :]) if level in LEVELS else found.log_lines.all()
    )
    lines = list(shown.order_by("-pk")[: LINES + 1])
    readable = policies.may_see_arguments(user, found)
    files = list(StoredFile.objects.made_by(found)[:FILES])
    beside = comparison.of(found, user) if readable else None
    related = visible.in_bulk({pk for pk in (found.holder, found.parent_id, found.answer_of) if pk})
    return render(
        request,
        "jobroom/jobs/job.html",
        {
            "job": found,
            "late": lateness.sentences(found),
            "readable": readable,
            "beside": beside,
            "split": beside.frame.split(found.traceback) if beside and beside.frame else None,
            "shown": results.shown(found.result, files) if readable and found.result is not None else None,
            "may_act": policies.may_cancel(user, found),
            "arguments": catalogue.arguments_seen_by(user, found) if readable else [],
            "attempts": list(found.attempt_set.order_by("-number")[:ATTEMPTS]),
            "lines": lines[LINES - 1 :: -1] if len(lines) > LINES else lines[::-1],
            "more_lines": len(lines) > LINES,
            "level": level if level in LEVELS else "",
            "levels": LEVELS,
            "holder": related.get(found.holder),
            "parent": related.get(found.parent_id),
            "files": [(file, results.is_picture(file), results.mesh_kind(file)) for file in files],
            "last_report": explanations.last_report(found),
            "killed": explanations.killed_by_signal(found),
            "pictures_first": readable and any(results.is_picture(file) for file in files),
            "has_meshes": readable and any(results.mesh_kind(file) for file in files),
            "computing": related.get(found.answer_of),
            # The second condition is that of the index.
            "children": list(
                visible.without_bulk()
                .filter(parent_id=found.pk)
                .exclude(parent_id="")
                .order_by("created_at")[:ATTEMPTS]
            ),
            **freshness(),
        },
    )
