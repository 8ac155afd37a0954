"""What can be launched by its name: the list, and the launch page of one."""

import json
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from workflows import launching
from workflows.definitions import registry
from workflows.exceptions import WorkflowException, WrongFields
from workflows.forms import PayloadForm
from workflows.models import Definition, StoredWorkflow
from workflows.views.finding import SeeOther, person

# Workflows of a definition that its page lists.
RECENT = 10


@login_required
@never_cache
@require_safe
def definition_list(request: HttpRequest) -> HttpResponse:
    """List what the person may launch."""
    rows = launching.launchable_by(person(request)).annotate(version=Max("versions__number"))
    return render(request, "workflows/definitions.html", {"definitions": rows})


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def definition(request: HttpRequest, name: str) -> HttpResponse:
    """Show the launch form of a definition; a POST launches it. The address may fill fields in."""
    found = launching.launchable_by(person(request)).filter(name=name).first()
    if found is None:
        raise Http404("There is no such definition, or you may not launch it.")
    try:
        version = registry.newest(name)
        schema = registry.payload_schema(version)
    except WorkflowException as error:
        return render(request, "workflows/definition.html", {"definition": found, "broken": str(error)}, status=409)
    if request.method == "POST":
        form = PayloadForm(schema, person(request), request.POST)
        if form.is_valid() and (stored := _launched(request, found, form)) is not None:
            return SeeOther(stored.get_absolute_url())
    else:
        form = PayloadForm(schema, person(request), initial=_given(request))
    recent = StoredWorkflow.objects.visible_to(person(request)).without_bulk().filter(definition__definition=found)
    context: dict[str, Any] = {
        "definition": found,
        "version": version,
        "form": form,
        "recent": recent.newest_first()[:RECENT],
    }
    return render(request, "workflows/definition.html", context, status=400 if form.errors else 200)


def _launched(request: HttpRequest, found: Definition, form: PayloadForm) -> StoredWorkflow | None:
    """Launch; show at the fields what is wrong with them."""
    try:
        with transaction.atomic():
            stored = launching.launch(
                definition=found.name,
                payload=form.payload,
                by=person(request),
                source="page",
                note=form.cleaned_data.get("note", ""),
            )
    except WrongFields as wrong:
        form.take_errors(wrong.errors)
        return None
    except WorkflowException as error:
        form.add_error(None, str(error))
        return None
    messages.success(request, "Launched.")
    return stored


def _given(request: HttpRequest) -> dict[str, Any]:
    """Return what the address fills in: texts, or JSON where it is some."""
    found: dict[str, Any] = {}
    for name in request.GET:
        text = str(request.GET[name])
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found
