"""The list of queues, and the page of one with its messages."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobroom.arguments.storable import plain
from jobroom.celery import pauses as held
from jobroom.celery.queue_messages import DEEPEST
from jobroom.jobs.models import Job
from jobroom.queues import broker, operations, pauses, policies, queue_rows
from jobroom.queues.decoded import decode
from jobroom.queues.exceptions import NotKnowable, NotThere, QueueError
from jobroom.queues.views.base import act, text
from jobroom.web.staff import staff_only

# Messages of a page.
PAGE = 50


@staff_only
@never_cache
@require_safe
def queue_list(request: HttpRequest) -> HttpResponse:
    """Show every queue: what waits, since when, who takes it, and when it should be empty."""
    context = {"may_operate": policies.may_operate(request.user), "rendered_at": timezone.now()}
    try:
        rows, paused = queue_rows.rows(), list(held.current().values())
    except broker.AWAY:
        return render(request, "jobroom/queues/queues.html", {**context, "away": True}, status=503)
    bad = sum(row.is_bad for row in rows)
    tasks = [pause for pause in paused if pause.kind == "task"]
    return render(request, "jobroom/queues/queues.html", {**context, "rows": rows, "bad": bad, "paused_tasks": tasks})


@staff_only
@never_cache
@require_safe
def queue(request: HttpRequest, name: str) -> HttpResponse:
    """Show one queue with a page of its messages, the next one first."""
    name, start = plain(name)[:255], _start(request)
    context = {"name": name, "may_operate": policies.may_operate(request.user), "rendered_at": timezone.now()}
    try:
        row = queue_rows.rows(name)[0]
        context |= {
            "row": row,
            "takers": queue_rows.takers(name),
            "targets": [other for other in queue_rows.names_known() if other != name],
        }
        with broker.queues() as found:
            shown = [decode(stored) for stored in found.page(name, start, PAGE)]
    except NotKnowable as error:
        return render(request, "jobroom/queues/queue.html", {**context, "unknowable": str(error)})
    except broker.AWAY:
        return render(request, "jobroom/queues/queue.html", {**context, "away": True}, status=503)
    jobs = set(Job.objects.filter(pk__in=[m.job for m in shown if m.job]).values_list("pk", flat=True))
    last = start + len(shown)
    context |= {"messages_shown": shown, "jobs": jobs, "start": start, "first": start + 1, "last": last}
    more = row.depth is not None and last < row.depth
    context |= {"older": last if more and last < DEEPEST else None, "newer": max(0, start - PAGE)}
    context["deepest"] = DEEPEST if more and last >= DEEPEST else None
    return render(request, "jobroom/queues/queue.html", context)


def _start(request: HttpRequest) -> int:
    wanted = request.GET.get("from", "")
    return min(int(wanted), DEEPEST) if wanted.isascii() and wanted.isdigit() and len(wanted) < 12 else 0


@staff_only
@require_POST
def message(request: HttpRequest, name: str) -> HttpResponse:
    """Delete or move one message, or put it to the front or the back."""

    def once(by: str) -> str:
        position = text(request, "position", 12)
        if not (position.isascii() and position.isdigit()):
            raise NotThere("The form names no message: open the page of the queue again.")
        kind, digest = text(request, "action", 20), text(request, "digest", 64)
        return operations.act_on_one(
            kind,
            name,
            int(position),
            digest,
            by=by,
            reason=text(request, "reason"),
            target=text(request, "target", 255),
        )

    return act(request, once, reverse("jobroom:queues:queue", args=[name]))


@staff_only
@never_cache
@require_POST
def many(request: HttpRequest, name: str) -> HttpResponse:
    """Purge or move all messages that wait now: first a page that says how many, then the doing."""
    action = "move" if text(request, "action", 20) == "move" else "purge"
    if "confirmed" in request.POST or not policies.may_operate(request.user):
        return act(request, lambda by: _many(request, action, name, by), reverse("jobroom:queues:queue", args=[name]))
    try:
        counts = operations.preview(name)
    except (QueueError, *broker.AWAY):
        counts = [0]
    context = {
        "name": name,
        "action": action,
        "target": text(request, "target", 255),
        "reason": text(request, "reason"),
        "counts": ",".join(map(str, counts)),
        "number": sum(counts),
    }
    return render(request, "jobroom/queues/many.html", context)


def _many(request: HttpRequest, action: str, name: str, by: str) -> str:
    said = text(request, "counts", 200).split(",")
    counts = [min(int(part), 10**9) if part.isascii() and part.isdigit() else 0 for part in said][:10]
    if action == "purge":
        return operations.purge(name, counts, by=by, reason=text(request, "reason"))
    target = text(request, "target", 255)
    return operations.move(name, target, counts, by=by, reason=text(request, "reason"))


@staff_only
@require_POST
def pause(request: HttpRequest) -> HttpResponse:
    """Pause a queue or a task."""
    kind, name = text(request, "kind", 20), text(request, "name", 300)
    return act(
        request,
        lambda by: pauses.pause(kind, name, by=by, reason=text(request, "reason")),
        reverse("jobroom:queues:queues"),
    )


@staff_only
@require_POST
def resume(request: HttpRequest) -> HttpResponse:
    """Resume a queue or a task."""
    kind, name = text(request, "kind", 20), text(request, "name", 300)
    return act(request, lambda by: pauses.resume(kind, name, by=by), reverse("jobroom:queues:queues"))
