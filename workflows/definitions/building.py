"""Makes a workflow of a definition and a payload."""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from celery import current_app, signature
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match

from workflows.definitions.reading import WrongDefinition, read
from workflows.definitions.schema import SCHEMA
from workflows.exceptions import Cycle, InvalidGraph, UnknownNodeTask, WrongFields
from workflows.graph import ITEM, Ref
from workflows.workflows import Workflow, WorkflowNode

_WHOLE = re.compile(r"\$\{([^}]*)\}")
# Workflows within workflows.
DEEPEST = 10
_OPTIONS = ("queue", "priority", "time_limit", "soft_time_limit", "retry")

# Gives the text of a definition by its name.
Find = Callable[[str], str | None]


class WrongPayload(WrongFields):
    """The payload does not fit the definition."""


def nothing(name: str) -> str | None:
    """Know no other definitions."""
    return None


class Recipe:
    """A definition that has been read and checked."""

    def __init__(self, text: str, find: Find = nothing, *, depth: int = 0) -> None:
        self.document = read(text)
        self.find = find
        self.depth = depth
        self._check_shape()
        self.data: dict[str, Any] = self.document.value
        self.nodes: dict[str, dict[str, Any]] = self.data["nodes"]
        self._check_payload_schema()
        for key in self.nodes:
            self._check_needs(key)
        self.order = self._ordered()

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.data["name"])

    @property
    def payload_schema(self) -> dict[str, Any]:
        """The JSON Schema of the payload."""
        found = dict(self.data.get("payload") or {})
        found.setdefault("type", "object")
        return found

    def wrong(self, message: str, *path: str | int) -> WrongDefinition:
        """Return an error that names the place."""
        return self.document.wrong(message, *path)

    # Checks

    def _check_shape(self) -> None:
        error = best_match(Draft202012Validator(SCHEMA).iter_errors(self.document.value))
        if error is not None:
            raise self.wrong(_sentence(error), *error.absolute_path)

    def _check_payload_schema(self) -> None:
        try:
            Draft202012Validator.check_schema(self.payload_schema)
        except SchemaError as error:
            raise self.wrong(f"this is no JSON Schema: {error.message}.", "payload", *error.absolute_path) from error

    def needs(self, key: str) -> list[tuple[str, str]]:
        """Return what a node waits for: keys and conditions, those of its references included."""
        needs = self.nodes[key].get("needs", [])
        listed = [needs] if isinstance(needs, str) else needs
        found = {
            (need if isinstance(need, str) else need["node"]): (
                "success" if isinstance(need, str) else need.get("when", "success")
            )
            for need in listed
        }
        for other in self._mentioned(self.nodes[key]):
            found.setdefault(other, "success")
        return list(found.items())

    def _mentioned(self, value: Any) -> Iterable[str]:
        """Yield the keys of nodes whose results are used in a value."""
        for text in _texts(value):
            for inner in _WHOLE.findall(text):
                head = str(inner).strip().split(".")[0]
                if head not in {"payload", "item"}:
                    yield head

    def _check_needs(self, key: str) -> None:
        for other, _ in self.needs(key):
            if other not in self.nodes:
                similar = get_close_matches(other, self.nodes, n=2)
                hint = f" Did you mean {' or '.join(similar)}?" if similar else f" There are: {', '.join(self.nodes)}."
                raise self.wrong(f"node “{key}” needs “{other}”, which does not exist.{hint}", "nodes", key, "needs")

    def _ordered(self) -> list[str]:
        """Return the keys so that what is needed comes first."""
        found: list[str] = []
        state: dict[str, int] = {}
        for start in self.nodes:
            stack = [(start, iter(self.needs(start)))] if start not in state else []
            state.setdefault(start, 1)
            while stack:
                key, rest = stack[-1]
                other = next(rest, None)
                if other is None:
                    stack.pop()
                    state[key] = 2
                    found.append(key)
                elif state.get(other[0]) == 1:
                    path = [entry[0] for entry in stack]
                    circle = [*path[path.index(other[0]) :], other[0]]
                    raise self.wrong(str(Cycle(circle[::-1])), "nodes", key, "needs")
                elif other[0] not in state:
                    state[other[0]] = 1
                    stack.append((other[0], iter(self.needs(other[0]))))
        return found

    # Building

    def build(self, payload: Mapping[str, Any] | None = None) -> Workflow:
        """Return the workflow for a payload; raise WrongPayload or WrongDefinition."""
        payload = self.filled(payload or {})
        workflow = Workflow(
            name=self.name,
            external=self.data.get("external", ()),
            handled_failures=self.data.get("handled_failures", "failure"),
        )
        if "max_processing_time" in self.data:
            workflow.set_max_processing_time(self.data["max_processing_time"])
        _Builder(self, workflow, payload).build()
        return workflow

    def check(self) -> None:
        """Build it with what its payload's schema offers, to find unknown tasks and wrong references."""
        example = {name: part.get("default") for name, part in self.payload_schema.get("properties", {}).items()}
        workflow = Workflow(name=self.name, external=self.data.get("external", ()))
        _Builder(self, workflow, example, lenient=True).build()

    def filled(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return the payload with its defaults; raise WrongPayload with an entry for each wrong field."""
        return filled(self.payload_schema, payload)


def filled(schema: Mapping[str, Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload with the defaults of its JSON Schema; raise WrongPayload with an entry for each wrong field."""
    properties = schema.get("properties", {})
    found = {name: part["default"] for name, part in properties.items() if "default" in part} | dict(payload)
    errors: dict[str, list[str]] = {}
    unknown = [name for name in payload if properties and name not in properties]
    for name in unknown:
        similar = get_close_matches(name, properties, n=1)
        errors[name] = [f"There is no such field.{f' Did you mean {similar[0]}?' if similar else ''}"]
    for error in Draft202012Validator(schema).iter_errors(found):
        name = str(error.absolute_path[0]) if error.absolute_path else _missing(error)
        if name not in unknown:
            errors.setdefault(name, []).append(_sentence(error))
    if errors:
        raise WrongPayload(errors)
    return found


class _Builder:
    """Puts the nodes of a recipe into a workflow."""

    def __init__(
        self, recipe: Recipe, workflow: Workflow, payload: Mapping[str, Any], *, lenient: bool = False
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
            try:
                self._node(key, self.recipe.nodes[key])
            except (UnknownNodeTask, InvalidGraph) as error:
                raise self.recipe.wrong(str(error), "nodes", key, "task") from error
        data = self.recipe.data
        if "on_failure" in data:
            self.workflow.on_failure(self._signature(data["on_failure"], "on_failure"))
        if "finally" in data:
            self.workflow.finalizer(self._signature(data["finally"], "finally"))
        if "result" in data:
            self.workflow.returns(self._value(data["result"], ("result",)))
        try:
            self.workflow.check()
        except UnknownNodeTask as error:
            raise self._unknown(error) from error
        except InvalidGraph as error:
            raise self.recipe.wrong(str(error)) from error

    def _unknown(self, error: UnknownNodeTask) -> WrongDefinition:
        for key, node in self.recipe.nodes.items():
            if f"“{node.get('task')}”" in str(error):
                return self.recipe.wrong(str(error), "nodes", key, "task")
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
        elif "each" in data:
            over = self._value(data["each"], ("nodes", key, "each"))
            if not isinstance(over, Ref):
                raise self.recipe.wrong("`each` is the result of a node, such as ${list.result}.", "nodes", key, "each")
            node = self.workflow.add_fan_out(self._signature(data, "nodes", key), over, key=key, **options)
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
        if "approval" in data:
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
            raise self.recipe.wrong(f"workflows within workflows, more than {DEEPEST} deep.", "nodes", key, "workflow")
        text = self.recipe.find(data["workflow"])
        if text is None:
            raise self.recipe.wrong(f"there is no workflow called “{data['workflow']}”.", "nodes", key, "workflow")
        inner = Recipe(text, self.recipe.find, depth=self.recipe.depth + 1)
        given = self._value(data.get("payload", {}), ("nodes", key, "payload"))
        if any(True for _ in _refs(given)):
            raise self.recipe.wrong("what an inner workflow is given must be known at launch.", "nodes", key, "payload")
        workflow = Workflow(name=inner.name, external=inner.data.get("external", ()))
        try:
            payload = given if self.lenient else inner.filled(given)
        except WrongPayload as error:
            raise self.recipe.wrong(f"“{data['workflow']}”: {error}", "nodes", key, "payload") from error
        _Builder(inner, workflow, payload, lenient=self.lenient).build()
        placed = self.workflow.add_workflow(workflow, [end for ends, _ in before for end in ends], key=key)
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
        whole = _WHOLE.fullmatch(value)
        if whole:
            return self._lookup(whole[1].strip(), path)
        return _WHOLE.sub(lambda found: self._text(found[1].strip(), path), value)

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
            if rest:
                raise self.recipe.wrong("${item} stands for the whole item.", *path)
            return {ITEM: True}
        if head == "payload":
            return self._of_payload(rest, name, path)
        if rest[:1] != ["result"] or head not in self.results:
            raise self.recipe.wrong(
                f"${{{name}}} is unknown. There are ${{payload.…}}, ${{item}}, and ${{node.result.…}}.", *path
            )
        found = self.results[head]
        for part in rest[1:]:
            found = found[int(part) if part.lstrip("-").isdecimal() else part]
        return found

    def _of_payload(self, rest: list[str], name: str, path: tuple[str | int, ...]) -> Any:
        found: Any = self.payload
        for part in rest:
            try:
                found = found[int(part)] if isinstance(found, list) else found[part]
            except (KeyError, IndexError, ValueError, TypeError):
                if self.lenient:
                    return None
                known = self.recipe.payload_schema.get("properties", {})
                if rest[0] in known:
                    return None  # it may be left out
                raise self.recipe.wrong(f"the payload has no {name.partition('.')[2]}.", *path) from None
        return found


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _refs(value: Any) -> Iterable[Ref]:
    from workflows.graph import references

    return references(value)


def _missing(error: ValidationError) -> str:
    """Return the name of the property that is missing."""
    found = re.match(r"'(.*?)' is a required property", error.message)
    return found[1] if found else "payload"


def _sentence(error: ValidationError) -> str:
    """Return what is wrong in words for people who do not know JSON Schema."""
    if error.validator == "required":
        return f"“{_missing(error)}” is missing."
    if error.validator == "additionalProperties":
        unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})))
        known = list(error.schema.get("properties", {}))
        similar = [match for name in unknown for match in get_close_matches(name, known, n=1)]
        hint = f" Did you mean {', '.join(similar)}?" if similar else f" There are: {', '.join(known)}."
        return f"“{', '.join(unknown)}” is unknown here.{hint}"
    if error.validator == "type":
        return f"{_short(error.instance)} is not of the type {error.validator_value}."
    if error.validator == "enum":
        return f"{_short(error.instance)} is none of {', '.join(map(str, error.validator_value))}."
    if error.validator == "oneOf" and isinstance(error.instance, dict):
        return "a node has exactly one of `task`, `approval` and `workflow`."
    return f"{error.message}."


def _short(value: Any) -> str:
    text = str(value)
    return f"“{text[:60]}{'…' if len(text) > 60 else ''}”"
