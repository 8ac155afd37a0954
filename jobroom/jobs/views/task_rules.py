"""The staff's pages of task rules: who may do what with which task."""

from typing import Any, NamedTuple, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobroom.jobs import catalogue, task_rules
from jobroom.jobs.exceptions import NotAllowed
from jobroom.jobs.forms.rules import TaskRulePageForm
from jobroom.jobs.models import TaskRule
from jobroom.jobs.policies import RIGHTS
from jobroom.jobs.views.actions import SeeOther
from jobroom.users import User
from jobroom.web.staff import staff_only
from jobroom.web.versions import is_stale, version_of


class Row(NamedTuple):
    """One rule as the list shows it."""

    rule: TaskRule
    is_known: bool  # whether there is such a task
    groups: list[tuple[str, str]]  # of each right who has it


def _person(request: HttpRequest) -> User:
    return cast("User", request.user)  # staff_only has seen to it


@staff_only
@never_cache
@require_safe
def rule_list(request: HttpRequest) -> HttpResponse:
    """Show all rules, by task; there are never more than tasks."""
    rules = TaskRule.objects.order_by("task").prefetch_related(*RIGHTS)
    known = {entry.name for entry in catalogue.entries()}
    context = {
        "rows": [Row(rule, rule.task in known, _groups(rule)) for rule in rules],
        "may_add": task_rules.may(_person(request), "add"),
        "rights": RIGHTS,
    }
    return render(request, "jobroom/jobs/rules.html", context)


def _groups(rule: TaskRule) -> list[tuple[str, str]]:
    return [
        (right, ", ".join(sorted(group.name for group in getattr(rule, right).all())) or "staff only")
        for right in RIGHTS
    ]


@staff_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new_rule(request: HttpRequest) -> HttpResponse:
    """Make a rule; the address may name its task."""
    _check(request, "add")
    return _form(request, TaskRule())


@staff_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def rule(request: HttpRequest, rule_id: int) -> HttpResponse:
    """Show a rule, and change it."""
    found = get_object_or_404(TaskRule, pk=rule_id)
    if request.method == "POST":
        _check(request, "change")
    return _form(request, found)


@staff_only
@require_POST
def delete_rule(request: HttpRequest, rule_id: int) -> HttpResponse:
    """Delete a rule, unless others have changed it since the page was opened."""
    found = get_object_or_404(TaskRule, pk=rule_id)
    _check(request, "delete")
    if is_stale(request, found, task_rules.FIELDS):
        messages.error(
            request, "Others changed this rule after you opened it, so it was not deleted. This is what it says now."
        )
        return SeeOther(reverse("jobroom:jobs:rule", args=[found.pk]))
    task_rules.delete(by=_person(request), rule=found)
    messages.success(request, f"The rule of {found.task} is gone: the task is for staff alone again.")
    return SeeOther(reverse("jobroom:jobs:rules"))


def _check(request: HttpRequest, act: str) -> None:
    try:
        task_rules.check(_person(request), act)
    except NotAllowed as error:
        raise PermissionDenied(str(error)) from error


def _form(request: HttpRequest, row: TaskRule) -> HttpResponse:
    user, act = _person(request), "change" if row.pk else "add"
    may_change = task_rules.may(user, act)
    given: Any = request.POST if request.method == "POST" else None
    # Of the rule as it stands: a form that is looked at writes what was given into the row.
    name, version = (row.task, version_of(row, task_rules.FIELDS)) if row.pk else ("", "")
    form = TaskRulePageForm(
        given,
        instance=row,
        initial={"task": request.GET.get("task", "")} if act == "add" else None,
        may_change=may_change,
    )
    if given is not None:
        said = _keep(form, by=user, action="changed" if act == "change" else "added")
        if said is not None:
            messages.success(
                request, f"The rule of {row.task} is kept. It holds from now on." if said else "Nothing was changed."
            )
            return SeeOther(reverse("jobroom:jobs:rules"))
    context = {
        "form": form,
        "row": row if row.pk else None,
        "name": name,
        "may_change": may_change,
        "may_delete": bool(row.pk) and task_rules.may(user, "delete"),
        "version": version,
    }
    return render(request, "jobroom/jobs/rule.html", context, status=422 if form.errors else 200)


def _keep(form: TaskRulePageForm, *, by: User, action: str) -> str | None:
    """Save the rule; return what the audit says, empty where nothing was changed, and None where the form is wrong.

    No more than this is one transaction: no one else writes meanwhile, and a page takes long to be made.
    """
    with transaction.atomic():
        before = task_rules.values(form.instance)
        if not (form.is_valid() and _saved(form)):
            return None
        return task_rules.record(by=by, rule=form.instance, action=action, before=before)


def _saved(form: TaskRulePageForm) -> bool:
    """Save the rule; another that was made for the same task at this moment stands at the field as an error."""
    try:
        with transaction.atomic():
            form.save()
    except IntegrityError:
        form.add_error("task", "Others made a rule for this task at this moment: change that one.")
        return False
    return True
