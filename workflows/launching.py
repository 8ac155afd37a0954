"""Launches workflows from definitions: one way for page, API, command and schedule."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet

from workflows import policies, services
from workflows.definitions import registry
from workflows.definitions.building import Recipe
from workflows.exceptions import NotAllowed, NotNow
from workflows.models import Definition, DefinitionVersion, StoredWorkflow


def launchable_by(user: User) -> "QuerySet[Definition]":
    """Return the definitions that `user` may launch."""
    enabled = Definition.objects.filter(enabled=True).order_by("name")
    return enabled if user.is_staff else enabled.filter(launch__in=user.groups.all()).distinct()


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

    Raises UnknownDefinition, NotAllowed, NotNow, WrongPayload (with an entry for each wrong field), WrongDefinition.
    """
    chosen = _version(definition, version, by)
    if by is not None and not policies.may_launch(by, chosen.definition):
        raise NotAllowed(f"You may not launch {definition}. Ask an administrator to open it to your group.")
    if not chosen.definition.enabled:
        raise NotNow(f"The workflow {definition} is switched off.")
    workflow, complete = registry.build(chosen, payload)
    workflow.freeze()
    return services.start(
        workflow, owner=by, source=source, payload=complete, note=note, schedule=schedule, definition=chosen
    )


def _version(name: str, number: int | None, by: User | None) -> DefinitionVersion:
    try:
        return registry.newest(name) if number is None else registry.version_of(name, number)
    except registry.UnknownDefinition as error:
        if by is None:
            raise
        raise registry.UnknownDefinition(name, launchable_by(by)) from error


def launch_text(
    text: str, *, payload: Mapping[str, Any], by: User | None, source: str, note: str = ""
) -> StoredWorkflow:
    """Launch a definition that is not kept: from a file, or from the body of a request."""
    if by is not None and not policies.may_write(by):
        raise NotAllowed("Only staff may launch a graph of their own, as it may name any task.")
    recipe = Recipe(text, registry.source_of)
    workflow = recipe.build(payload)
    workflow.freeze()
    return services.start(workflow, owner=by, source=source, payload=recipe.filled(payload), note=note)
