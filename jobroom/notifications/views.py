"""The staff's pages of the mails."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobroom import redis
from jobroom.notifications import content, failure_mails, policies, submission
from jobroom.notifications.exceptions import MailError, NotNow
from jobroom.notifications.filters import MailFilter
from jobroom.notifications.models import Mail, State
from jobroom.web.staff import staff_only

# Attempts that a mail's page shows, the last ones.
ATTEMPTS = 50


@staff_only
@never_cache
@require_safe
def mail_list(request: HttpRequest) -> HttpResponse:
    """Show the mails that the address asks for."""
    wanted = MailFilter(request.GET.dict(), request.user)
    context = {
        "filter": wanted,
        "served": _served(),
        "queued": failure_mails.is_queued(),
        "rendered_at": timezone.now(),
    }
    return render(request, "jobroom/notifications/mails.html", context)


def _served() -> bool | None:
    """Return whether a worker serves the queue of the mails, None when no one can tell."""
    try:
        return failure_mails.has_worker()
    except (redis.Error, OSError):
        return None


@staff_only
@never_cache
@require_safe
def mail(request: HttpRequest, mail_id: UUID) -> HttpResponse:
    """Show one mail: its way for all staff, its text for those who may read it."""
    found = get_object_or_404(Mail.objects.visible_to(request.user), pk=mail_id)
    readable = policies.may_read(request.user)
    try:
        shown, unreadable = content.shown(content.read(found), texts=readable), ""
    except MailError as error:
        shown, unreadable = None, str(error)
    context = {
        "mail": found,
        "moving": not found.is_ended,
        "shown": shown,
        "unreadable": unreadable,
        "readable": readable,
        "attempts": found.attempt_set.order_by("-pk")[:ATTEMPTS],
        "may_resend": policies.may_resend(request.user),
        "why_not_again": submission.why_not_again(found),
        "why_not_give_up": submission.why_not_give_up(found),
        "again_label": "Try now" if found.state == State.WAITING else "Send again",
        "rendered_at": timezone.now(),
    }
    return render(request, "jobroom/notifications/mail.html", context)


def _act(request: HttpRequest, mail_id: UUID, action: Callable[[Mail, str], str]) -> HttpResponse:
    found = get_object_or_404(Mail.objects.visible_to(request.user).without_content(), pk=mail_id)
    if not policies.may_resend(request.user):
        raise PermissionDenied("Sending a mail again needs the permission “Can send a mail again, or give it up”.")
    try:
        with transaction.atomic():
            messages.success(request, action(found, request.user.get_username()))
    except NotNow as reason:
        messages.error(request, str(reason))
    return HttpResponseRedirect(found.get_absolute_url(), status=303)


@staff_only
@require_POST
def again(request: HttpRequest, mail_id: UUID) -> HttpResponse:
    """Have the mail sent again to those who have not got it."""
    return _act(request, mail_id, lambda found, by: submission.again(mail=found, by=by))


@staff_only
@require_POST
def give_up(request: HttpRequest, mail_id: UUID) -> HttpResponse:
    """End the attempts to send the mail."""
    return _act(request, mail_id, lambda found, by: submission.give_up(mail=found, by=by))
