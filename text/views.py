"""The pages of the spam model's versions."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobroom.jobs import policies as job_policies
from jobroom.jobs.models import ACTIVE, Job
from jobroom.users import User
from jobroom.web.cursors import newest_first
from jobroom.web.versions import FIELD, Difference, conflict
from text import policies, registry
from text.exceptions import ModelChanged, TextFailed
from text.matrix import Matrix
from text.models import SpamModel
from text.spam.recipes import TITLES

# Versions on one page of the list.
PAGE = 25
TRAIN = "Train spam detector"
ACTIONS = (TRAIN, "Classify messages", "detect_spam")


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)  # login_required has seen to it


def _see_other(address: str) -> HttpResponse:
    return HttpResponseRedirect(address, status=303)


@login_required
@never_cache
@require_safe
def model_list(request: HttpRequest) -> HttpResponse:
    """Show the versions, newest first."""
    user = _user(request)
    rows = SpamModel.objects.visible_to(user).select_related("created_by")
    page = newest_first(rows, request.GET, PAGE)
    training = Job.objects.visible_to(user).filter(task__in=(TRAIN, "Retrain spam detector"), state__in=ACTIVE)
    context = {
        "models": page.rows,
        "page": page,
        "promoted": rows.promoted(),
        "back": rows.before(),
        "training": list(training.newest_first()[:3]),
        "actions": [
            (name, job_policies.may_launch(user, name)) for name in ACTIONS if job_policies.may_know_of(user, name)
        ],
        "knows_task": job_policies.may_know_of(user, "detect_spam"),
        "may_see": policies.may_see_models(user),
        "may_promote": policies.may_promote(user),
        "rendered_at": timezone.now(),
    }
    return render(request, "text/models.html", context)


@login_required
@never_cache
@require_safe
def model(request: HttpRequest, version: int) -> HttpResponse:
    """Show one version; who may see none learns nothing."""
    user = _user(request)
    visible = SpamModel.objects.visible_to(user).select_related("created_by", "promoted_by", "file")
    found = get_object_or_404(visible, version=version)
    context = {
        "model": found,
        "matrix": Matrix(found.confusion),
        "recipe": TITLES.get(found.parameters.get("recipe", ""), found.parameters.get("recipe", "")),
        "job": Job.objects.visible_to(user).filter(pk=found.job_id).first() if found.job_id else None,
        "promoted": visible.promoted(),
        "back": visible.before(),
        "may_promote": policies.may_promote(user),
        "may_download": user.is_staff,
    }
    return render(request, "text/model.html", context)


@login_required
@require_POST
def promote(request: HttpRequest, version: int) -> HttpResponse:
    """Let a version work."""
    user = _allowed(request)
    found = get_object_or_404(SpamModel.objects.visible_to(user), version=version)
    try:
        registry.promote(number=found.version, by=user, instead_of=request.POST.get(FIELD))
        messages.success(request, f"Version {found.version} is promoted.")
    except ModelChanged as changed:
        return _changed(request, changed, f"version {found.version}")
    except TextFailed as failed:
        messages.error(request, str(failed))
    return _see_other(found.get_absolute_url())


@login_required
@require_POST
def roll_back(request: HttpRequest) -> HttpResponse:
    """Let the version work that did before."""
    user = _allowed(request)
    try:
        found = registry.roll_back(by=user, instead_of=request.POST.get(FIELD))
        messages.success(request, f"Back to version {found.version}.")
    except ModelChanged as changed:
        before = SpamModel.objects.before()
        return _changed(request, changed, f"version {before.version}" if before else "none")
    except TextFailed as failed:
        messages.error(request, str(failed))
    return _see_other(reverse("text:models"))


def _changed(request: HttpRequest, changed: ModelChanged, mine: str) -> HttpResponse:
    now = "none" if changed.now == "none" else f"version {changed.now}"
    return conflict(
        request,
        what="The model that works",
        back=reverse("text:models"),
        version=changed.now,
        differences=[Difference("Works", now, mine)],
    )


def _allowed(request: HttpRequest) -> User:
    user = _user(request)
    if not policies.may_promote(user):
        raise PermissionDenied("To promote a model one needs the permission “Can promote and roll back spam models”.")
    return user
