"""A person's own page: sessions and tokens, and how to end them; and the request for a new password."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import PasswordResetForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobroom.arguments.storable import plain
from jobroom.jobs import login_limits, time_zones
from jobroom.jobs.models import ApiToken
from jobroom.jobs.tokens import end_all
from jobroom.jobs.views.actions import SeeOther
from jobroom.live import access
from jobroom.users import User


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)  # login_required has seen to it


@login_required
@never_cache
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Show the person's tokens."""
    tokens = ApiToken.objects.filter(user=_user(request), revoked_at=None).order_by("-created_at")
    context = {
        "tokens": tokens,
        "zones": time_zones.names(),
        "own_zone": time_zones.zone_of(_user(request)),
        "site_zone": timezone.get_default_timezone_name(),
        "now": timezone.now(),
    }
    return render(request, "jobroom/jobs/account.html", context)


@login_required
@require_POST
def choose_zone(request: HttpRequest) -> HttpResponse:
    """Keep the zone in which the person wants to see times."""
    try:
        time_zones.choose(_user(request), plain(request.POST.get("zone", "")).strip())
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, "Kept. All times are shown in that zone.")
    return SeeOther(reverse("jobroom:jobs:account"))


@login_required
@require_POST
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """End one token."""
    mine = ApiToken.objects.filter(user=_user(request))
    token = get_object_or_404(mine, pk=min(token_id, 2**63 - 1))
    mine.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
    access.changed(_user(request).pk)
    messages.success(request, f"The token “{token.name}” is revoked.")
    return SeeOther(reverse("jobroom:jobs:account"))


@login_required
@require_POST
def end_everything(request: HttpRequest) -> HttpResponse:
    """End all other sessions and all tokens of the person."""
    end_all(_user(request), but=str(request.session.session_key or ""))
    messages.success(request, "All other sessions and all tokens are ended.")
    return SeeOther(reverse("jobroom:jobs:account"))


class ResetForm(PasswordResetForm):
    """Asks for an address; too many mails to the same one are not sent, and no one learns which."""

    def get_users(self, email: str) -> Any:
        """Return who gets a mail."""
        return super().get_users(email) if login_limits.may_mail(email) else ()


class ResetView(auth.PasswordResetView):
    """The request for a new password; raises TooMany where one network address asks for many."""

    form_class = ResetForm

    def form_valid(self, form: Any) -> HttpResponse:
        """Count the request and send the mail."""
        login_limits.allow_reset(self.request)
        return super().form_valid(form)
