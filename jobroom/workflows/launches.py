"""Launches workflows from definitions: one way for page, API, command and schedule."""

from collections.abc import Mapping
from typing import Any

from jobroom.jobs import limits, requester
from jobroom.users import User
from jobroom.workflows import admission, policies, services
from jobroom.workflows.definitions import registry
from jobroom.workflows.definitions.recipe import Recipe
from jobroom.workflows.exceptions import NotAllowed
from jobroom.workflows.graph import Graph
from jobroom.workflows.models import Definition, StoredWorkflow
from jobroom.workflows.policies import launchable_by

__all__ = ["launch", "launch_text", "launchable_by", "offered", "preview"]


def offered() -> list[str]:
    """Return the names of the definitions that the person who asks may launch; the machine may launch all."""
    by = requester.who_asks()
    found = Definition.objects.filter(enabled=True).order_by("name") if by is None else launchable_by(by)
    return list(found.values_list("name", flat=True))


def launch(
    *,
    definition: str,
    payload: Mapping[str, Any],
    by: User | None,
    source: str,
    note: str = "",
    schedule: str = "",
    version: int | None = None,
) -> StoredWorkflow:
    """Launch the newest version, or the given one, of a definition; `by` None means the machine, which may everything.

    Raises UnknownDefinition, NotAllowed, NotNow, WrongPayload (with an entry for each wrong field), WrongFields (what a
    node would be given, and `by` may not give), WrongDefinition.
    """
    found = admission.definition_for(definition, by)
    chosen = registry.newest(found.name) if version is None else registry.version_of(found.name, version)
    limits.allow_launch(by, f"workflow {found.name}")
    workflow, complete = registry.build(chosen, payload)
    admission.check_payload(registry.payload_schema(chosen), complete, by)
    admission.check_graph(workflow.graph, by)
    workflow.frozen()
    return services.start(
        workflow, owner=by, source=source, payload=complete, note=note, schedule=schedule, definition=chosen
    )


def preview(*, definition: str, payload: Mapping[str, Any], by: User | None) -> Graph:
    """Return the graph that a launch of the newest version would start; nothing is kept or sent.

    Raises what `launch` raises; previews have a limit of their own.
    """
    limits.allow_preview(by)
    chosen = registry.newest(admission.definition_for(definition, by).name)
    workflow, complete = registry.build(chosen, payload)
    admission.check_payload(registry.payload_schema(chosen), complete, by)
    admission.check_graph(workflow.graph, by)
    workflow.frozen()
    return workflow.graph


def launch_text(
    text: str, *, payload: Mapping[str, Any], by: User | None, source: str, note: str = ""
) -> StoredWorkflow:
    """Launch a definition that is not kept: from a file, or from the body of a request."""
    if by is not None and not policies.may_write(by):
        raise NotAllowed("Only staff may launch a graph of their own, as it may name any task.")
    limits.allow_launch(by, "workflow")
    recipe = Recipe(text, registry.source_to_launch)
    recipe.check()
    workflow, complete = recipe.build(payload), recipe.filled(payload)
    admission.check_payload(recipe.payload_schema, complete, by)
    admission.check_graph(workflow.graph, by)
    workflow.frozen()
    return services.start(workflow, owner=by, source=source, payload=complete, note=note)
