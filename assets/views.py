"""The pages of the assets."""

from typing import cast

from celery import current_app
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from assets import services
from assets.conf import settings
from assets.forms import UploadForm
from assets.geometry.formats import FORMATS
from assets.models import Asset
from jobroom.jobs import launches, policies
from jobroom.jobs.exceptions import JobError
from jobroom.jobs.filters import LOOKED
from jobroom.jobs.models import ACTIVE, Job, Source
from jobroom.jobs.querysets import JobQuerySet
from jobroom.jobs.search import COLUMNS, Search
from jobroom.limits import TooMany
from jobroom.users import User
from jobroom.web.cursors import newest_first

# Assets on one page of the list, and jobs on the page of an asset, the newest ones.
PAGE = 24
JOBS = 20
# The tasks on assets in the order in which their buttons appear.
PROCESS = "Process asset"
TASKS = (PROCESS, "assets.inspect", "assets.repair", "assets.simplify", "assets.convert", "assets.pictures")


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)  # login_required has seen to it


def _see_other(address: str) -> HttpResponse:
    return HttpResponseRedirect(address, status=303)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def asset_list(request: HttpRequest) -> HttpResponse:
    """Show the assets, newest first, and take a new one."""
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if form.is_bound and form.is_valid():
        added = form.save(_user(request))
        if added is not None:
            if "process" in request.POST:
                _process(request, added)
            return _kept(request, added)
    if form.errors and _wants_json(request):
        return JsonResponse({"errors": _words(form)}, status=422)
    rows = Asset.objects.visible_to(_user(request)).select_related("owner").prefetch_related("results__file")
    page = newest_first(rows, request.GET, PAGE)
    context = {
        "form": form,
        "assets": page.rows,
        "page": page,
        "formats": list(FORMATS.values()),
        "knows_task": policies.may_know_of(_user(request), TASKS[0]),
        "most": settings.MAX_BYTES,
        "may_process": PROCESS in current_app.tasks and policies.may_launch(_user(request), PROCESS),
    }
    return render(request, "assets/list.html", context, status=422 if form.errors else 200)


def _wants_json(request: HttpRequest) -> bool:
    """Return whether the script of the page asks, which shows the progress of the upload and goes on by itself."""
    return request.headers.get("Accept") == "application/json"


def _words(form: UploadForm) -> list[str]:
    return [f"{form.fields[name].label}: {text}" for name, texts in form.errors.items() for text in texts]


def _kept(request: HttpRequest, added: Asset) -> HttpResponse:
    address = added.get_absolute_url()
    return JsonResponse({"to": address}, status=201) if _wants_json(request) else _see_other(address)


def _process(request: HttpRequest, added: Asset) -> None:
    """Launch the whole treatment of a new asset; the asset is there in any case."""
    try:
        launches.launch(task=PROCESS, arguments={"asset": added.pk}, by=_user(request), source=Source.PAGE)
    except (JobError, TooMany) as error:
        messages.error(request, f"The mesh is uploaded, but it is not processed: {error}")


@login_required
@never_cache
@require_safe
def asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """Show one asset; who may not see it learns nothing, not even that it exists."""
    user = _user(request)
    visible = Asset.objects.visible_to(user).select_related("owner", "file").prefetch_related("results__file")
    found = get_object_or_404(visible, pk=asset_id)
    jobs = list(jobs_of(found, Job.objects.visible_to(user)))
    context = {
        "asset": found,
        "jobs": jobs,
        "active": any(job.state in ACTIVE for job in jobs),
        "actions": [
            (name, policies.may_launch(user, name))
            for name in TASKS
            if name in current_app.tasks and policies.may_know_of(user, name)
        ],
        "knows_task": policies.may_know_of(user, TASKS[0]),
        "rendered_at": timezone.now(),
    }
    return render(request, "assets/asset.html", context)


def jobs_of(found: Asset, jobs: JobQuerySet) -> JobQuerySet:
    """Return those of `jobs` that are about the asset, however it was given to them; the newest ones."""
    ids = [found.pk, str(found.pk)]
    about = jobs.filter(Q(kwargs__asset__in=ids) | Q(args__0__in=ids), task__in=TASKS)
    # No index knows what a job is about: as many as a page has time for are looked at.
    search = Search(about, [[Q(task=task) for task in TASKS]], columns=(*COLUMNS, "kwargs", "args"))
    places = search.look(most=JOBS, seconds=LOOKED).places
    return Job.objects.without_bulk().select_related("owner").filter(pk__in=[pk for _, pk in places]).newest_first()


@login_required
@require_POST
def delete(request: HttpRequest, asset_id: int) -> HttpResponse:
    """Delete one asset with all that was made of it."""
    found = get_object_or_404(Asset.objects.visible_to(_user(request)), pk=asset_id)
    services.remove(asset=found)
    messages.success(request, f"{found.name} is deleted.")
    return _see_other(reverse("assets:assets"))
