"""Makes a workflow from a definition and a payload."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from celery import current_app, signature

from jobroom.workflows.definitions.messages import similar
from jobroom.workflows.definitions.parser import Path, WrongDefinition
from jobroom.workflows.definitions.payloads import WrongPayload
from jobroom.workflows.exceptions import InvalidGraph, UnknownNodeTask, WorkflowException, WrongFields
from jobroom.workflows.graph import ITEM, Ref, references
from jobroom.workflows.nodes import WorkflowNode
from jobroom.workflows.workflows import Workflow

if TYPE_CHECKING:
    from jobroom.workflows.definitions.recipe import Recipe

WHOLE = re.compile(r"\$\{([^}]*)\}")
# A step into a list: from its beginning or from its end.
INDEX = re.compile(r"-?[0-9]{1,15}")
# Workflows within workflows.
DEEPEST = 10
# What begins a ${…} that is not a node.
WORDS = frozenset({"payload", "item"})
_OPTIONS = ("queue", "priority", "time_limit", "soft_time_limit", "retry")


class Builder:
    """Puts the nodes of a recipe into a workflow."""

    def __init__(
        self, recipe: "Recipe", workflow: Workflow, payload: Mapping[str, Any], *, lenient: bool = False
    ) -> None:
        self.recipe = recipe
        self.workflow = workflow
        self.payload = payload
        self.lenient = lenient
        self.made: dict[str, WorkflowNode] = {}
        self.ends: dict[str, list[WorkflowNode]] = {}
        self.results: dict[str, Any] = {}

    def build(self) -> None:
        """Add every node, the handlers and the result."""
        for key in self.recipe.order:
            self._place(key)
        for add in self.endings():
            add()
        self.check()

    def problems(self) -> list[WrongDefinition]:
        """Add every node, and return what is wrong with each; one that is wrong does not make others so."""
        found = []
        for key in self.recipe.order:
            try:
                self._place(key)
                if key in self.made:
                    self.workflow.check_node(self.made[key].node)
            except UnknownNodeTask as error:
                found.append(self.recipe.wrong(str(error), "nodes", key, "task"))
            except WrongDefinition as error:
                found.append(error)
                self.ends.setdefault(key, [])
                self.results.setdefault(key, Ref(0))
        for add in self.endings():
            try:
                add()
            except UnknownNodeTask as error:
                found.append(self._unknown(error))
            except WrongDefinition as error:
                found.append(error)
        return found

    def endings(self) -> list[Callable[[], None]]:
        """Return what adds the handlers and the result."""
        data, add = self.recipe.data, {"on_failure": self.workflow.on_failure, "finally": self.workflow.finalizer}
        names = [name for name in add if name in data]
        found = [functools.partial(self._handler, name, add[name]) for name in names]
        return [*found, self._result] if "result" in data else [*found]

    def _handler(self, name: str, add: Callable[[Any], WorkflowNode]) -> None:
        node = add(self._signature(self.recipe.data[name], name))
        if self.lenient:
            self.workflow.check_node(node.node)

    def _result(self) -> None:
        self.workflow.returns(self._value(self.recipe.data["result"], ("result",)))

    def check(self) -> None:
        """Check the whole."""
        try:
            self.workflow.check()
        except UnknownNodeTask as error:
            raise self._unknown(error) from error
        except InvalidGraph as error:
            raise self.recipe.wrong(str(error)) from error

    def _place(self, key: str) -> None:
        try:
            self._node(key, self.recipe.nodes[key])
        except WrongFields:
            raise  # it names its place
        except WorkflowException as error:
            raise self.recipe.wrong(str(error), "nodes", key) from error

    def _unknown(self, error: UnknownNodeTask) -> WrongDefinition:
        handlers = [((name,), self.recipe.data.get(name, {})) for name in ("on_failure", "finally")]
        for path, call in [*((("nodes", key), node) for key, node in self.recipe.nodes.items()), *handlers]:
            if f"“{call.get('task')}”" in str(error):
                return self.recipe.wrong(str(error), *path, "task")
        return self.recipe.wrong(str(error))

    def _node(self, key: str, data: Mapping[str, Any]) -> None:
        before = [(self.ends[other], when) for other, when in self.recipe.needs(key)]
        if "workflow" in data:
            self._inner(key, data, before)
            return
        options = self._options(data)
        if "approval" in data:
            names = ("groups", "timeout", "on_timeout")
            chosen = {name: data[name] for name in names if name in data}
            node = self.workflow.add_approval(key, question=data["approval"], **chosen, **options)
        elif "wait_for" in data:
            node = self.workflow.wait_for(key, about=data["wait_for"], timeout=data.get("timeout"), **options)
        elif "each" in data:
            over = self._value(data["each"], ("nodes", key, "each"))
            if not isinstance(over, Ref):
                raise self.recipe.wrong("`each` is the result of a node, such as ${list.result}.", "nodes", key, "each")
            made = self._signature(data, "nodes", key)
            node = self.workflow.add_fan_out(made, over, key=key, limit=data.get("limit"), **options)
        else:
            node = self.workflow.add_signature(self._signature(data, "nodes", key), key=key, **options)
        self._wait(node, before)
        self.made[key], self.ends[key], self.results[key] = node, [node], node.result

    def _wait(self, node: WorkflowNode, before: list[tuple[list[WorkflowNode], str]]) -> None:
        """Let a node wait; what its references made it wait for already is given its condition."""
        node.node.parents.clear()
        for others, when in before:
            for other in others:
                if other.node.index not in {parent for parent, _ in node.node.parents}:
                    node.add_dependency(other, {"when": when})

    def _options(self, data: Mapping[str, Any]) -> dict[str, Any]:
        defaults = self.recipe.data.get("defaults", {})
        found = {name: data.get(name, defaults.get(name)) for name in _OPTIONS if name in data or name in defaults}
        found |= {name: data[name] for name in ("join", "label", "weight") if name in data}
        if "group" in data:
            found["group"] = [data["group"]] if isinstance(data["group"], str) else data["group"]
        if "approval" in data or "wait_for" in data:
            found = {name: value for name, value in found.items() if name not in _OPTIONS}
        return found

    def _signature(self, data: Mapping[str, Any], *path: str | int) -> Any:
        args = self._value(data.get("args", []), (*path, "args"))
        kwargs = self._value(data.get("kwargs", {}), (*path, "kwargs"))
        made = signature(data["task"], args=args, kwargs=kwargs, app=current_app)
        if path[0] != "nodes":
            made.set(**{name: data[name] for name in _OPTIONS if name in data and name != "retry"})
        return made

    def _inner(self, key: str, data: Mapping[str, Any], before: list[tuple[list[WorkflowNode], str]]) -> None:
        """Put another definition in this place."""
        if self.recipe.depth >= DEEPEST:
            raise self.recipe.wrong(
                f"Workflows within workflows, more than {DEEPEST} deep. Does one contain itself?",
                "nodes",
                key,
                "workflow",
            )
        text = self.recipe.find(data["workflow"])
        if text is None:
            raise self.recipe.wrong(f"There is no workflow called “{data['workflow']}”.", "nodes", key, "workflow")
        inner = type(self.recipe)(text, self.recipe.find, depth=self.recipe.depth + 1)
        given = self._value(data.get("payload", {}), ("nodes", key, "payload"))
        if any(True for _ in _refs(given)):
            raise self.recipe.wrong("What an inner workflow is given must be known at launch.", "nodes", key, "payload")
        workflow = Workflow(name=inner.name, external=inner.data.get("external", ()))
        # Before a launch nothing is known of what the outer payload gives.
        lenient = self.lenient and any("${" in text for text, _ in texts(data.get("payload", {})))
        try:
            payload = given if lenient else inner.filled(given)
        except WrongPayload as error:
            raise self.recipe.wrong(f"“{data['workflow']}”: {error}", "nodes", key, "payload") from error
        Builder(inner, workflow, payload, lenient=lenient).build()
        placed = self.workflow.add_workflow(workflow, key=key)
        for first in placed.starts:
            self._wait(first, before)
        self.ends[key], self.results[key] = placed.ends, placed.result

    # Values

    def _value(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """Return a value with what stands in ${…} put in."""
        if isinstance(value, dict):
            return {name: self._value(item, (*path, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self._value(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        if "${" in WHOLE.sub("", value):
            raise self.recipe.wrong("`${` has no `}`.", *path)
        whole = WHOLE.fullmatch(value)
        if whole:
            return self._lookup(whole[1].strip(), path)
        return WHOLE.sub(lambda found: self._text(found[1].strip(), path), value)

    def _text(self, name: str, path: tuple[str | int, ...]) -> str:
        found = self._lookup(name, path)
        if isinstance(found, Ref | dict | list):
            raise self.recipe.wrong(
                f"${{{name}}} cannot stand inside a text; only single values of the payload can.", *path
            )
        return str(found)

    def _lookup(self, name: str, path: tuple[str | int, ...]) -> Any:
        head, *rest = name.split(".")
        if head == "item":
            return self._item(rest, path)
        if head == "payload":
            return self._of_payload(rest, name, path)
        if path[0] in {"on_failure", "finally"}:
            raise self.recipe.wrong(
                f"`{path[0]}` runs whatever became of the nodes, so it is given no results; values of the payload only.",
                *path,
            )
        if rest[:1] != ["result"] or head not in self.results:
            raise self.recipe.wrong(
                f"${{{name}}} is unknown. There are ${{payload.…}}, ${{item}}, and ${{node.result.…}}.", *path
            )
        found = self.results[head]
        for part in rest[1:]:
            found = found[int(part) if INDEX.fullmatch(part) else part]
        return found

    def _item(self, rest: list[str], path: tuple[str | int, ...]) -> dict[str, Any]:
        if rest:
            raise self.recipe.wrong("${item} stands for the whole item.", *path)
        if path[0] != "nodes" or "each" not in self.recipe.nodes[str(path[1])]:
            raise self.recipe.wrong("${item} is the item of a fan-out, but there is no `each` here.", *path)
        return {ITEM: True}

    def _of_payload(self, rest: list[str], name: str, path: tuple[str | int, ...]) -> Any:
        found: Any = self.payload
        for part in rest:
            try:
                found = found[int(part)] if isinstance(found, list) else found[part]
            except (KeyError, IndexError, ValueError, TypeError):
                known = list(self.recipe.payload_schema.get("properties", {}))
                if rest[0] in known or (self.lenient and not known):
                    return None  # it may be left out
                hint = similar(rest[0], known) if known else " Say in `payload` what a launch is given."
                raise self.recipe.wrong(f"The payload has no {name.partition('.')[2]}.{hint}", *path) from None
        return found


def texts(value: Any, path: Path = ()) -> Iterable[tuple[str, Path]]:
    """Yield the texts in a value, and where they stand."""
    if isinstance(value, str):
        yield value, path
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts(item, (*path, key))


def _refs(value: Any) -> Iterable[Ref]:
    return references(value)
