"""The pages of alerts: one's own rules and those of one's teams, what each has reported, and what it would have."""

from collections.abc import Callable
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobroom.arguments import WrongArguments
from jobroom.jobs import catalogue
from jobroom.jobs import policies as job_policies
from jobroom.jobs.exceptions import NotAllowed
from jobroom.notifications import alert_conditions, alerts, chats, policies
from jobroom.notifications.alert_models import AlertRule, Way, What
from jobroom.notifications.exceptions import NotNow
from jobroom.users import User

FIELDS = ("what", "of", "threshold", "way", "address", "team", "quiet_from", "quiet_until")
# What the form asks for beside each thing that is watched, and the list that offers answers.
ASKS = {
    What.TASK: ("Task", "tasks"),
    What.FAILURE: ("Cause, by its id; empty: any", ""),
    What.DEPTH: ("Queue", "queues"),
    What.AGE: ("Queue", "queues"),
    What.WORKER: ("Worker; empty: any", ""),
    What.MISSED: ("Schedule; empty: any", ""),
    What.LATE: ("Task; empty: any", "tasks"),
}
# Notifications of a rule that its page shows.
SHOWN = 30


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def alert_list(request: HttpRequest) -> HttpResponse:
    """Show the rules, and make one."""
    user = cast("User", request.user)
    given = {name: request.POST.get(name, "").strip()[:2000] for name in FIELDS}
    wrong: dict[str, list[str]] = {}
    if request.method == "POST":
        try:
            rule, secret = alerts.add(given=given, by=user)
        except NotAllowed as reason:
            raise PermissionDenied(str(reason)) from reason
        except WrongArguments as found:
            wrong = found.errors
        else:
            messages.success(request, f"Made. {_shown_once(secret)}Send a test to see whether it arrives.")
            return HttpResponseRedirect(rule.get_absolute_url(), status=303)
    staff = job_policies.sees_all(user)
    tasks = catalogue.open_to(user)
    rules = AlertRule.objects.visible_to(user).select_related("owner", "team").order_by("pk")
    context = {
        "rules": rules,
        "whats": [
            (value, text, *ASKS[What(value)])
            for value, text in What.choices
            if staff or value not in alert_conditions.FOR_STAFF
        ],
        "tasks": [entry.name for entry in tasks],
        "queues": sorted({entry.queue for entry in tasks}) if staff else [],
        "ways": Way.choices if policies.may_send_out(user) else [(Way.MAIL.value, Way.MAIL.label)],
        "has_chats": chats.is_installed(),
        "teams": user.groups.order_by("name").values_list("name", flat=True),
        "given": given,
        "wrong": wrong,
    }
    return render(request, "jobroom/notifications/alerts.html", context, status=400 if wrong else 200)


def _shown_once(secret: str) -> str:
    return f"Its webhooks are signed with {secret}, which is shown only now. " if secret else ""


@login_required
@never_cache
@require_safe
def alert(request: HttpRequest, alert_id: int) -> HttpResponse:
    """Show one rule: what holds now, what it has sent, and what it would have reported in the last week."""
    rule = _found(request, alert_id)
    context = {
        "rule": rule,
        "own": rule.owner_id == request.user.pk,
        "states": rule.states.order_by("-since", "-pk")[:SHOWN],
        "deliveries": rule.deliveries.order_by("-created_at", "-pk")[:SHOWN],
        "week": alert_conditions.last_week(rule),
        "rendered_at": timezone.now(),
    }
    return render(request, "jobroom/notifications/alert.html", context)


def _found(request: HttpRequest, alert_id: int) -> AlertRule:
    rules = AlertRule.objects.visible_to(cast("User", request.user)).select_related("owner", "team")
    return get_object_or_404(rules, pk=alert_id)


def _act(request: HttpRequest, rule: AlertRule, act: Callable[[], object], said: str, to: str) -> HttpResponse:
    try:
        act()
        messages.success(request, said)
    except NotAllowed as reason:
        raise PermissionDenied(str(reason)) from reason
    except NotNow as reason:
        messages.error(request, str(reason))
    return HttpResponseRedirect(to, status=303)


@login_required
@require_POST
def drop(request: HttpRequest, alert_id: int) -> HttpResponse:
    """Delete a rule."""
    rule, user = _found(request, alert_id), cast("User", request.user)
    back = reverse("jobroom:notifications:alerts")
    return _act(request, rule, lambda: alerts.drop(rule=rule, by=user), "Dropped.", back)


@login_required
@require_POST
def try_out(request: HttpRequest, alert_id: int) -> HttpResponse:
    """Have a rule send a test."""
    rule, user = _found(request, alert_id), cast("User", request.user)
    said = "A test is on its way: see below what becomes of it."
    return _act(request, rule, lambda: alerts.try_out(rule=rule, by=user), said, rule.get_absolute_url())
