"""A click asks the administrators, by mail, for a right that one lacks."""

import contextlib
import logging
from typing import cast
from urllib.parse import urljoin, urlsplit

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.mail import EmailMessage
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from jobroom import limits
from jobroom.arguments.storable import plain
from jobroom.conf import settings
from jobroom.jobs.models import Job
from jobroom.jobs.views.actions import SeeOther
from jobroom.limits import Rate
from jobroom.signals import acted
from jobroom.tasks.admin_mail import get_admin_emails
from jobroom.users import User

logger = logging.getLogger(__name__)

# A person asks so often, and so often for the same: administrators are no inbox for everything.
ALL, SAME = Rate(10, 3600), Rate(1, 4 * 3600)
LONGEST = 200


@login_required
@require_POST
def ask(request: HttpRequest) -> HttpResponse:
    """Send one mail to the administrators, and go back to the page on which the right is missing."""
    user = cast("User", request.user)  # login_required has seen to it
    what = " ".join(plain(request.POST.get("what", "")).split())[:LONGEST]
    page = _page(request)
    if not what:
        messages.error(
            request, "The request says not what for. Go back, and use the button beside what you may not do."
        )
        return SeeOther(page)
    said = _asked(user, what, page)
    messages.info(request, said)
    return SeeOther(page)


def _page(request: HttpRequest) -> str:
    """Return the page of this site from which the request came, the overview where the browser does not say.

    Pages do not hold their own address, because what one may not see must look the same as what does not exist.
    """
    come_from = urlsplit("".join(plain(request.headers.get("Referer", "")).split())[:1000])
    path = come_from._replace(scheme="", netloc="", fragment="").geturl()
    if come_from.netloc == request.get_host() and url_has_allowed_host_and_scheme(path, allowed_hosts=None):
        return path
    return reverse("jobroom:jobs:overview")


def _asked(user: User, what: str, page: str) -> str:
    """Send the mail, and return the sentence that says what became of it."""
    admins = get_admin_emails()
    if not admins:
        return "This site has not said who its administrators are (ADMINS), so no one can be notified from here. Ask them yourself."
    if limits.look(limits.key("ask", user.pk, what, page), SAME):
        return "You have asked for this a short time ago; the administrators have your mail."
    if limits.take(limits.key("ask", user.pk), ALL):
        return "You have asked for much in the last hour. Nothing was sent: ask again later."
    try:
        _mail(user, what, page, admins).send()
    except Exception:  # the boundary: whatever the mail backend of the site raises
        logger.exception("A request for access was not sent")
        return "The mail could not be sent. Nothing is lost: try again later, or ask the administrators yourself."
    limits.take(limits.key("ask", user.pk, what, page), SAME)
    acted.send(
        sender=Job, who=user.get_username(), action="asked", kind="access", target=what, outcome="Mailed to the admins."
    )
    return f"The administrators were sent a mail: you ask to be allowed to {what}."


def _mail(user: User, what: str, page: str, admins: list[str]) -> EmailMessage:
    name = user.get_username()
    text = f"{name} asks to be allowed to {what}.\n\nThe page: {urljoin(settings.SITE_URL, page)}\n"
    text += f"Task rules: {urljoin(settings.SITE_URL, reverse('jobroom:jobs:rules'))}\n"
    with contextlib.suppress(NoReverseMatch):  # a project without Django's admin
        text += f"Groups of people: {urljoin(settings.SITE_URL, reverse('admin:index'))}\n"
    reply = [str(user.email)] if user.email else None
    return EmailMessage(f"{name} asks for access: {what}"[:200], text, to=admins, reply_to=reply)
