"""The probes for machines, and the staff's page of workers."""

import dataclasses
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobroom import redis
from jobroom.arguments.storable import plain
from jobroom.jobs.models import Job
from jobroom.jobs.views.actions import SeeOther, next_of
from jobroom.users import User
from jobroom.web.staff import staff_only
from jobroom.workers import acts, doctor, health, probes, remote_control
from jobroom.workers.exceptions import WorkerError
from jobroom.workers.overview import overview


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that this process is up; asks no one else."""
    return JsonResponse({"ok": True})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every part is in order, else 503; the body names each part."""
    parts = probes.ready()
    ready = all(part.ok for part in parts.values())
    # Strangers read it: not a word about rows.
    shown = {name: dataclasses.asdict(dataclasses.replace(part, rows="")) for name, part in parts.items()}
    body = {"ready": ready, "parts": shown}
    return JsonResponse(body, status=200 if ready else 503)


@require_safe
@never_cache
@login_required
def health_page(request: HttpRequest) -> HttpResponse:
    """Show every part, and what is wrong with it."""
    return render(request, "jobroom/workers/health.html", {"health": health.current(), "rendered_at": timezone.now()})


@require_safe
@never_cache
@login_required
def health_line(request: HttpRequest) -> HttpResponse:
    """Answer with the sentence that stands on every page; HEAD only says that the server and the session are there.

    Who has logged in again in another tab has another CSRF token: pages put it into their forms, so that what was typed goes through.
    """
    if request.method == "HEAD":
        answer = HttpResponse(status=204)
    else:
        answer = render(request, "jobroom/workers/health_line.html", {"health": health.recent()})
    answer.headers["X-CSRFToken"] = get_token(request)
    return answer


@require_safe
@never_cache
@staff_only
def doctor_page(request: HttpRequest) -> HttpResponse:
    """Run every check and show what came of it."""
    found = doctor.examine()
    context = {
        "troubles": [finding for finding in found if finding.state != "ok"],
        "fine": [finding for finding in found if finding.state == "ok"],
        "rendered_at": timezone.now(),
    }
    return render(request, "jobroom/workers/doctor.html", context)


@require_safe
@staff_only
def workers(request: HttpRequest) -> HttpResponse:
    """Show every worker that was seen and did not say good-bye."""
    try:
        found = overview()
    except (redis.Error, OSError):
        return render(
            request, "jobroom/workers/workers.html", {"away": True, "rendered_at": timezone.now()}, status=503
        )
    context = {
        "found": found,
        "pending": remote_control.pending(),
        "may_operate": remote_control.may_operate(cast("User", request.user)),
        "rendered_at": timezone.now(),
    }
    return render(request, "jobroom/workers/workers.html", context)


@staff_only
@require_POST
def control(request: HttpRequest) -> HttpResponse:
    """Order a worker to be quiet, to stop, to grow or shrink, or which queues to consume; or replace a silent one."""
    if not remote_control.may_operate(cast("User", request.user)):
        raise PermissionDenied(remote_control.NEEDS)
    said = {name: plain(request.POST.get(name, ""))[:500] for name in ("worker", "action", "argument", "reason")}
    by = request.user.get_username()
    try:
        done = acts.act(said["worker"], said["action"], said["argument"], by=by, reason=said["reason"])
        messages.success(request, done)
    except WorkerError as error:
        messages.error(request, str(error))
    except (redis.Error, OSError):
        messages.error(request, "Redis does not answer, so nothing was done. Try again in a moment.")
    return SeeOther(next_of(request) or reverse("jobroom:workers:workers"))


@staff_only
@never_cache
@require_safe
def stack(request: HttpRequest, job_id: str) -> HttpResponse:
    """Show where in its code a running job is now."""
    if not remote_control.may_operate(cast("User", request.user)):
        raise PermissionDenied(remote_control.NEEDS)
    job = get_object_or_404(Job.objects.visible_to(cast("User", request.user)), pk=job_id.replace("\x00", ""))
    context = {"job": job, "rendered_at": timezone.now()}
    try:
        return render(request, "jobroom/workers/stack.html", {**context, "stack": remote_control.stack(job.pk)})
    except WorkerError as error:
        return render(request, "jobroom/workers/stack.html", {**context, "problem": str(error)})
    except (redis.Error, OSError):
        return render(
            request, "jobroom/workers/stack.html", {**context, "problem": "Redis does not answer."}, status=503
        )
