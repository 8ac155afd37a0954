"""What is done to jobs from their pages: every action is a POST that answers 303."""

from collections.abc import Callable
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from common.arguments import WrongArguments
from jobs import control
from jobs.exceptions import JobError, NotAllowed
from jobs.models import Job


class SeeOther(HttpResponseRedirect):
    """Sends the browser on with GET (RFC 9110, 15.4.4)."""

    status_code = 303


def _act(request: HttpRequest, job_id: str, action: Callable[[Job, User], str]) -> HttpResponse:
    user = cast("User", request.user)  # login_required has seen to it
    job = get_object_or_404(Job.objects.visible_to(user), pk=job_id)
    try:
        messages.success(request, action(job, user))
    except (JobError, WrongArguments) as error:
        messages.error(request, str(error))
    return SeeOther(job.get_absolute_url())


@login_required
@require_POST
def cancel(request: HttpRequest, job_id: str) -> HttpResponse:
    """Ask for the end of the job; the message says what really happens."""
    return _act(request, job_id, lambda job, user: control.cancel(job=job, by=user))


@login_required
@require_POST
def retry(request: HttpRequest, job_id: str) -> HttpResponse:
    """Run the job again under its own id."""

    def again(job: Job, user: User) -> str:
        control.retry(job=job, by=user)
        return "Sent again. It runs as a new attempt of the same job."

    return _act(request, job_id, again)


@login_required
@require_POST
def note(request: HttpRequest, job_id: str) -> HttpResponse:
    """Keep a note and tags with the job."""

    def keep(job: Job, user: User) -> str:
        if reason := control.why_not_note(job, user):
            raise NotAllowed(reason)
        tags = [tag.strip()[:50] for tag in request.POST.get("tags", "").split(",") if tag.strip()]
        Job.objects.filter(pk=job.pk).update(note=request.POST.get("note", "").strip()[:2000], tags=tags[:20])
        return "Kept."

    return _act(request, job_id, keep)
