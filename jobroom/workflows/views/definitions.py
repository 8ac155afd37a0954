"""The list of definitions, and the launch page of one."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from jobroom.arguments.storable import parse
from jobroom.limits import TooMany
from jobroom.web.error_pages import later
from jobroom.workflows import launches
from jobroom.workflows.definitions import registry
from jobroom.workflows.exceptions import WorkflowException, WrongFields
from jobroom.workflows.forms import PayloadForm
from jobroom.workflows.models import Definition, StoredWorkflow
from jobroom.workflows.picture import svg
from jobroom.workflows.views.lookup import SeeOther, person

# Workflows of a definition that its page lists.
RECENT = 10


@login_required
@never_cache
@require_safe
def definition_list(request: HttpRequest) -> HttpResponse:
    """List what the person may launch."""
    rows = launches.launchable_by(person(request)).annotate(version=Max("versions__number"))
    return render(request, "jobroom/workflows/definitions.html", {"definitions": rows})


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def definition(request: HttpRequest, name: str) -> HttpResponse:
    """Show the launch form of a definition; a POST launches it, or previews its graph. The address may fill fields in."""
    found = launches.launchable_by(person(request)).filter(name=name).first()
    if found is None:
        raise Http404("There is no such definition, or you may not launch it.")
    try:
        version = registry.newest(name)
        schema = registry.payload_schema(version)
    except WorkflowException as error:
        return render(
            request, "jobroom/workflows/definition.html", {"definition": found, "broken": str(error)}, status=409
        )
    picture: dict[str, Any] = {}
    wait: TooMany | None = None
    if request.method == "POST":
        form = PayloadForm(schema, person(request), request.POST)
        try:
            if form.is_valid() and "preview" in request.POST:
                picture = _previewed(request, found, form)
            elif form.is_valid() and (stored := _launched(request, found, form)) is not None:
                return SeeOther(stored.get_absolute_url())
        except TooMany as error:
            form.add_error(None, str(error))
            wait = error
    else:
        form = PayloadForm(schema, person(request), initial=_given(request))
    recent = StoredWorkflow.objects.visible_to(person(request)).without_bulk().filter(definition__definition=found)
    context: dict[str, Any] = {
        "definition": found,
        "version": version,
        "form": form,
        "recent": recent.newest_first()[:RECENT],
        "preview": bool(picture),
        **picture,
    }
    page = render(request, "jobroom/workflows/definition.html", context, status=400 if form.errors else 200)
    return later(page, wait)


def _previewed(request: HttpRequest, found: Definition, form: PayloadForm) -> dict[str, Any]:
    """Return the picture of what would be launched; show at the fields what is wrong with them."""
    try:
        return svg.preview(launches.preview(definition=found.name, payload=form.payload, by=person(request)))
    except WorkflowException as error:
        _say(form, error)
        return {}


def _say(form: PayloadForm, error: WorkflowException) -> None:
    if isinstance(error, WrongFields):
        form.take_errors(error.errors)
    else:
        form.add_error(None, str(error))


def _launched(request: HttpRequest, found: Definition, form: PayloadForm) -> StoredWorkflow | None:
    """Launch; show at the fields what is wrong with them."""
    try:
        stored = launches.launch(
            definition=found.name,
            payload=form.payload,
            by=person(request),
            source="page",
            note=form.cleaned_data.get("note", ""),
        )
    except WorkflowException as error:
        _say(form, error)
        return None
    messages.success(request, "Launched.")
    return stored


def _given(request: HttpRequest) -> dict[str, Any]:
    """Return what the address fills in: texts, or JSON where it is some."""
    found: dict[str, Any] = {}
    for name in request.GET:
        text = str(request.GET[name])
        try:
            found[name] = parse(text)
        except ValueError:
            found[name] = text
    return found
