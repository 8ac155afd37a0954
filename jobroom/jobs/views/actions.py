"""The actions on a job: every one is a POST that redirects with 303."""

from collections.abc import Callable
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from jobroom.arguments import WrongArguments
from jobroom.arguments.storable import plain
from jobroom.jobs import control, current_state
from jobroom.jobs.exceptions import JobError, NotAllowed
from jobroom.jobs.models import Job, State
from jobroom.users import User
from jobroom.web.versions import Difference, conflict, is_stale, version_of

# What the form for notes shows.
NOTE = ("note", "tags")


class SeeOther(HttpResponseRedirect):
    """Sends the browser on with GET (RFC 9110, 15.4.4)."""

    status_code = 303


class _Stale(Exception):
    """Others have changed the note since the page was opened."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.job = job


def next_of(request: HttpRequest) -> str:
    """Return the page of this site that a form says to go on to; empty where it says none."""
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if safe else ""


def _act(request: HttpRequest, job_id: str, action: Callable[[Job, User], str]) -> HttpResponse:
    user = cast("User", request.user)  # login_required has seen to it
    # As it is now, and not as the history has it: a job that has ended may be retried at once, like over the API and by a command.
    job = current_state.visible_job(job_id, user)
    if job is None:
        raise Http404
    try:
        messages.success(request, action(job, user))
    except (JobError, WrongArguments) as error:
        messages.error(request, str(error))
    return SeeOther(next_of(request) or job.get_absolute_url())


@login_required
@require_POST
def cancel(request: HttpRequest, job_id: str) -> HttpResponse:
    """Ask for the end of the job; its page says what really happens, and a message where the page cannot."""

    def asked(job: Job, user: User) -> str:
        said = control.cancel(job=job, by=user)
        now = current_state.job(job.pk) or job
        # The page says for itself that a job is being cancelled: one box, and not two.
        is_said = now.cancel_by and now.state == State.RUNNING and not next_of(request)
        return "" if is_said else said

    return _act(request, job_id, asked)


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
    text = plain(request.POST.get("note", "")).replace("\r\n", "\n").strip()[:2000]
    tags = [tag.strip()[:50] for tag in plain(request.POST.get("tags", "")).split(",") if tag.strip()][:20]

    def keep(job: Job, user: User) -> str:
        if reason := control.why_not_note(job, user):
            raise NotAllowed(reason)
        # No more than this is one transaction: no one else writes meanwhile, and to read from Redis or to make a page takes long.
        with transaction.atomic():
            now = Job.objects.select_for_update().filter(pk=job.pk).first()
            if now and is_stale(request, now, NOTE) and (now.note, now.tags) != (text, tags):
                raise _Stale(now)
            Job.objects.filter(pk=job.pk).update(note=text, tags=tags)
        return "Kept."

    try:
        return _act(request, job_id, keep)
    except _Stale as stale:
        return conflict(
            request,
            what="The note",
            back=stale.job.get_absolute_url(),
            version=version_of(stale.job, NOTE),
            differences=[
                Difference("Note", stale.job.note, text),
                Difference("Tags", ", ".join(stale.job.tags), ", ".join(tags)),
            ],
        )
