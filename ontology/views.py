"""The pages of the vocabularies."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobroom.jobs.models import ACTIVE, Job
from jobroom.jobs.policies import may_launch
from jobroom.users import User
from jobroom.web.cursors import number
from ontology import index_reader, policies, services
from ontology.conf import settings
from ontology.exceptions import VocabularyFailed
from ontology.forms import LoadForm
from ontology.models import Vocabulary

# Terms on one page, and jobs on the page of a vocabulary, the newest ones.
PAGE = 50
JOBS = 10
# No one reads on so far; beyond it an offset costs what no page is worth.
MOST_PAGES = 100_000
# The tasks that ask a vocabulary, in the order of their buttons.
TASKS = (
    ("ontology.annotate_text", "Annotate a text…", "vocabularies"),
    ("ontology.annotate_values", "Annotate values…", "vocabulary"),
    ("ontology.nearest_terms", "Nearest terms…", "vocabulary"),
)


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)  # login_required has seen to it


def _see_other(address: str) -> HttpResponse:
    return HttpResponseRedirect(address, status=303)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def vocabulary_list(request: HttpRequest) -> HttpResponse:
    """Show all vocabularies, and take the file of a new one or of a new version."""
    user = _user(request)
    if request.method == "POST" and not policies.may_load(user):
        raise PermissionDenied
    form = LoadForm(request.POST, request.FILES) if request.method == "POST" else LoadForm()
    if form.is_bound and form.is_valid():
        job = form.save(user)
        if job is not None:
            return _see_other(reverse("jobroom:jobs:job", args=[job.pk]))
    context = {
        "form": form,
        "vocabularies": Vocabulary.objects.visible_to(user).select_related("loaded_by", "file"),
        "may_load": policies.may_load(user),
        "most": settings.MAX_BYTES,
        "loading": list(_loads(user).filter(state__in=ACTIVE).newest_first()[:JOBS]),
        "rendered_at": timezone.now(),
    }
    return render(request, "ontology/list.html", context, status=422 if form.errors else 200)


def _loads(user: User) -> Any:
    return Job.objects.visible_to(user).filter(task=policies.LOAD)


def _visible(request: HttpRequest, name: str) -> Vocabulary:
    rows = Vocabulary.objects.visible_to(_user(request)).select_related("loaded_by", "file", "index")
    return get_object_or_404(rows, name=name)


@login_required
@never_cache
@require_safe
def vocabulary(request: HttpRequest, name: str) -> HttpResponse:
    """Show one vocabulary: what is in it, and the terms that a search finds."""
    found = _visible(request, name)
    user = _user(request)
    text = request.GET.get("q", "").strip()[:200]
    page = min(number(request.GET, "page") or 1, MOST_PAGES)
    context: dict[str, Any] = {
        "vocabulary": found,
        "text": text,
        "page": page,
        "jobs": list(_loads(user).filter(kwargs__name=name).newest_first()[:JOBS]),
        "may_load": policies.may_load(user),
        "may_delete": policies.may_delete(user),
        "actions": [action for action in TASKS if may_launch(user, action[0])],
    }
    try:
        with found.open() as index:
            context |= index_reader.search(index, text, context["page"], PAGE)
    except VocabularyFailed as error:
        context["problem"] = str(error)
    return render(request, "ontology/vocabulary.html", context)


@login_required
@never_cache
@require_safe
def term(request: HttpRequest, name: str, term_id: str) -> HttpResponse:
    """Show one term: its names, its place, and what is below it."""
    found = _visible(request, name)
    try:
        with found.open() as index:
            described = index_reader.describe(index, term_id)
    except VocabularyFailed as error:
        raise Http404(str(error)) from error
    if described is None:
        raise Http404(f"{name} has no term {term_id}.")
    if described["id"] != term_id:
        return _see_other(reverse("ontology:term", args=[name, described["id"]]))
    can_ask = may_launch(_user(request), "ontology.neighbours")
    return render(request, "ontology/term.html", {"vocabulary": found, "term": described, "can_ask": can_ask})


@login_required
@require_POST
def delete(request: HttpRequest, name: str) -> HttpResponse:
    """Delete one vocabulary."""
    found = _visible(request, name)
    if not policies.may_delete(_user(request)):
        raise PermissionDenied
    services.remove(vocabulary=found)
    messages.success(request, f"{name} is deleted.")
    return _see_other(reverse("ontology:vocabularies"))
