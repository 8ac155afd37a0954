"""Finds definitions: in files of the apps, in Python, and those that people have uploaded.

An app keeps its files in a folder `definitions`, and its functions in its module `definitions`. The database keeps every
version, and each workflow the version that it was launched from.
"""

import hashlib
import inspect
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Max, QuerySet

from jobroom.workflows.definitions.payloads import WrongPayload, filled
from jobroom.workflows.definitions.recipe import Recipe
from jobroom.workflows.exceptions import NotNow, WrongFields
from jobroom.workflows.models import Definition, DefinitionVersion
from jobroom.workflows.workflows import Workflow

logger = logging.getLogger(__name__)

Function = Callable[[dict[str, Any]], Workflow]


class UnknownDefinition(WrongFields):
    """There is no workflow of that name; `open_to` are those that the person may launch, None for all."""

    def __init__(self, name: str, open_to: "QuerySet[Definition] | None" = None) -> None:
        rows = Definition.objects.order_by("name") if open_to is None else open_to
        known = ", ".join(rows.values_list("name", flat=True)[:20]) or "none yet"
        super().__init__({"definition": [f"There is no workflow called “{name}”. There are: {known}."]})

    def __str__(self) -> str:
        """Return the one sentence."""
        return self.errors["definition"][0]


class Written:
    """A definition in Python: a function that makes the workflow of a payload."""

    def __init__(self, name: str, function: Function, title: str, payload: Mapping[str, Any]) -> None:
        self.name, self.function, self.title = name, function, title
        self.payload_schema = {"type": "object", **payload}
        self.description = inspect.getdoc(function) or ""
        self.source = inspect.getsource(function)
        self.origin = f"{function.__module__}.{function.__qualname__}"


_functions: dict[str, Written] = {}


def workflow_definition(
    name: str, *, title: str = "", payload: Mapping[str, Any] | None = None
) -> Callable[[Function], Function]:
    """Make a function a definition; it is given the payload and returns a `Workflow`. `payload` is a JSON Schema."""

    def register(function: Function) -> Function:
        _functions[name] = Written(name, function, title or name, payload or {})
        return function

    return register


def files() -> dict[str, Path]:
    """Return the files of all apps by what they are called."""
    return {
        f"{config.label}/{path.name}": path
        for config in apps.get_app_configs()
        if config.name != "jobroom.workflows"  # its own package of that name holds code
        for path in sorted((Path(config.path) / "definitions").glob("*.yaml"))
    }


def sync() -> list[str]:
    """Bring the database up to date with files and functions; return what is wrong with those that could not be read.

    A file that has not changed since it was last taken over makes no version: what people have loaded meanwhile stays.
    """
    problems: dict[str, str] = {}
    left = files()
    while left:  # one may contain another that comes later
        problems = {origin: problem for origin, path in left.items() if (problem := _take_over(origin, path))}
        if len(problems) == len(left):
            break
        left = {origin: left[origin] for origin in problems}
    for written in _functions.values():
        _keep(written.name, written.title, written.description, written.source, written.origin)
    found = [f"{origin}: {problem}" for origin, problem in problems.items()]
    for problem in found:
        logger.error("A workflow definition cannot be read. %s", problem)
    return found


def _take_over(origin: str, path: Path) -> str:
    """Keep the text of a file, if it is another than last time; return what is wrong with it."""
    try:
        text = path.read_text()
        last = DefinitionVersion.objects.filter(origin=origin).order_by("-number").first()
        if last is None or last.sha256 != _sha256(text):
            keep(text, origin=origin)
    except (WrongFields, OSError, UnicodeDecodeError) as error:
        return str(error)
    return ""


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def keep(
    text: str, *, origin: str, check: bool = True, check_newest: Callable[[int], None] | None = None
) -> DefinitionVersion:
    """Keep a text as the newest version of the definition that it names; raise WrongDefinition.

    `check_newest` gets the number of the newest version so far, 0 for none, and may raise to refuse.
    """
    recipe = Recipe(text, source_of)
    if check:
        recipe.check()
    if (written := _functions.get(recipe.name)) is not None:
        problem = f"“{recipe.name}” is written in Python, by {written.origin}. Give the file another name."
        raise recipe.wrong(problem, "name")
    data = recipe.data
    return _keep(recipe.name, data.get("title", ""), data.get("description", ""), text, origin, check_newest)


@transaction.atomic
def _keep(
    name: str,
    title: str,
    description: str,
    source: str,
    origin: str,
    check_newest: Callable[[int], None] | None = None,
) -> DefinitionVersion:
    definition, _ = Definition.objects.get_or_create(name=name)
    definition = Definition.objects.select_for_update().get(pk=definition.pk)
    if check_newest is not None:
        check_newest(definition.versions.aggregate(Max("number"))["number__max"] or 0)
    if (definition.title, definition.description) != (title, description):
        definition.title, definition.description = title, description
        definition.save(update_fields=["title", "description"])
    sha256 = _sha256(source)
    newest = definition.versions.order_by("-number").first()
    if newest is not None and newest.sha256 == sha256:
        return newest
    number = (definition.versions.aggregate(Max("number"))["number__max"] or 0) + 1
    return definition.versions.create(number=number, source=source, sha256=sha256, origin=origin)


def newest(name: str) -> DefinitionVersion:
    """Return the newest version of a definition; raise UnknownDefinition."""
    found = DefinitionVersion.objects.filter(definition__name=name).select_related("definition")
    version = found.order_by("-number").first()
    if version is None:
        raise UnknownDefinition(name)
    return version


def version_of(name: str, number: int) -> DefinitionVersion:
    """Return one version of a definition; raise UnknownDefinition, and WrongFields where it cannot be run any more."""
    last = newest(name)
    if number == last.number:
        return last
    if name in _functions:
        problem = f"“{name}” is written in Python; only what is written now can be launched, version {last.number}."
        raise WrongFields({"version": [problem]})
    found = last.definition.versions.filter(number=number).select_related("definition").first()
    if found is None:
        raise WrongFields({"version": [f"“{name}” has no version {number}. The newest is {last.number}."]})
    return found


def source_of(name: str) -> str | None:
    """Return the newest text of a definition, None if there is none in YAML."""
    found = DefinitionVersion.objects.filter(definition__name=name).order_by("-number").first()
    return found.source if found is not None and name not in _functions else None


def source_to_launch(name: str) -> str | None:
    """Return what `source_of` does; raise NotNow for a definition that is switched off, also inside another one."""
    if Definition.objects.filter(name=name, enabled=False).exists():
        raise NotNow(f"The workflow {name} is switched off.")
    return source_of(name)


def payload_schema(version: DefinitionVersion) -> dict[str, Any]:
    """Return the JSON Schema of what the definition is launched with."""
    written = _functions.get(version.definition.name)
    return dict(written.payload_schema) if written else Recipe(version.source, source_of).payload_schema


def build(version: DefinitionVersion, payload: Mapping[str, Any]) -> tuple[Workflow, dict[str, Any]]:
    """Return the workflow of a definition for a payload, and the payload with its defaults.

    Raises WrongPayload and WrongDefinition.
    """
    written = _functions.get(version.definition.name)
    if written is None:
        recipe = Recipe(version.source, source_to_launch)
        return recipe.build(payload), recipe.filled(payload)
    complete = filled(written.payload_schema, payload)
    workflow = written.function(complete)
    workflow.name = workflow.name or written.name
    return workflow, complete


__all__ = [
    "UnknownDefinition",
    "WrongPayload",
    "build",
    "keep",
    "newest",
    "payload_schema",
    "sync",
    "workflow_definition",
]
