"""The gate of workflows: what a person may launch, run again or resume, and which values their nodes may get.

The nodes of a definition need no rule of their own: who may launch the definition may launch them. What they are given is
checked by `jobroom.jobs.gate` all the same, as far as it is known before they run; what another node returns is its task's word.
"""

from collections.abc import Container, Iterator, Mapping
from typing import Any

from django.apps import apps

from jobroom.arguments import WrongArguments
from jobroom.jobs import gate
from jobroom.users import User
from jobroom.workflows import policies
from jobroom.workflows.definitions import registry
from jobroom.workflows.definitions.payloads import WrongPayload
from jobroom.workflows.exceptions import DefinitionNotOpen, NotAllowed, NotNow, WrongFields
from jobroom.workflows.graph import ITEM, Graph, Kind, Node, as_reference, is_reference
from jobroom.workflows.models import Definition, StoredWorkflow

# Items of a list given by hand that a fan-out is checked for.
MOST_ITEMS = 500


def definition_for(name: str, by: User | None) -> Definition:
    """Return the definition if `by` may launch it now.

    Raises UnknownDefinition for staff and the machine, DefinitionNotOpen for others, the same whether it is hidden,
    switched off or not there, and NotNow where it is switched off.
    """
    found = Definition.objects.filter(name=name).first()
    if by is not None and not policies.may_write(by):
        if found is None or not policies.may_launch(by, found):
            raise DefinitionNotOpen(name, policies.launchable_by(by).values_list("name", flat=True)[:20])
        return found
    if found is None:
        raise registry.UnknownDefinition(name)
    if not found.enabled:
        raise NotNow(f"The workflow {name} is switched off.")
    return found


def check_start(stored: StoredWorkflow, by: User | None) -> None:
    """Raise NotAllowed or NotNow unless nodes of the workflow may be started now, in the name of `by`."""
    if policies.is_off(stored):
        raise NotNow(policies.why_not_start(by, stored))
    if by is not None and (reason := policies.why_not_start(by, stored)):
        raise NotAllowed(reason)


def check_payload(schema: Mapping[str, Any], payload: Mapping[str, Any], by: User | None) -> None:
    """Raise WrongPayload for the rows of a payload (`x-model`) that `by` may not see, as for those that there are not."""
    errors: dict[str, list[str]] = {}
    for name, part in schema.get("properties", {}).items():
        label = part.get("x-model") if isinstance(part, Mapping) else None
        value = payload.get(name)
        if label is None or value is None or by is None:
            continue
        missing = gate.hidden_row(apps.get_model(str(label)), value, by, many=isinstance(value, list))
        if missing:
            errors[name] = [missing]
    if errors:
        raise WrongPayload(errors)


def check_graph(
    graph: Graph,
    by: User | None,
    *,
    fresh: Container[str] | None = None,
    kept: Container[int] = (),
    done: Mapping[int, Any] | None = None,
) -> None:
    """Raise WrongFields, which names node and argument, for what `by` may not give to the nodes now.

    Args:
        graph: all nodes.
        by: the person; None is the machine, which may everything.
        fresh: keys of the nodes whose arguments are new, which must fit their tasks as well; None for all.
        kept: indexes of nodes that do not run.
        done: results that were given by hand, by index; they are checked where other nodes are given them.

    """
    if by is None:
        return
    errors: dict[str, list[str]] = {}
    known = _known(graph, done or {})
    for node in graph.nodes:
        if node.index not in kept and node.kind in {Kind.TASK, Kind.FAN_OUT}:
            found = _of_node(node, by, known, fresh is None or node.key in fresh)
            errors |= {f"nodes.{node.key}.{name}": texts for name, texts in found.items()}
    if errors:
        raise WrongFields(errors)


def _of_node(node: Node, by: User, known: Mapping[int, Any], fresh: bool) -> dict[str, list[str]]:
    try:
        if fresh:
            gate.check_call(node.task, node.args, node.kwargs, by, _is_later)
    except WrongArguments as wrong:
        return wrong.errors
    if fresh and not known:
        return {}  # all that is known was looked at
    for args, kwargs in _calls(node, known):
        if errors := gate.hidden_parts(node.task, args, kwargs, by, _is_later):
            return errors
    return {}


def _is_later(value: Any) -> bool:
    return is_reference(value) or _is_item(value)


def _is_item(value: Any) -> bool:
    return isinstance(value, Mapping) and ITEM in value and len(value) == 1


def _calls(node: Node, known: Mapping[int, Any]) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Yield what the node's task is called with, with the results that are known put in; of a fan-out for each item."""
    args, kwargs = _with(node.args, known), _with(node.kwargs, known)
    items = _with(node.over, known) if node.kind == Kind.FAN_OUT else None
    if not isinstance(items, list):
        yield args, kwargs
        return
    if len(items) > MOST_ITEMS:
        raise NotNow(f"“{node.key}” is given {len(items)} items by hand; at most {MOST_ITEMS} can be.")
    for item in items:
        yield _with(args, known, item), _with(kwargs, known, item)


_NO_ITEM = object()


def _with(value: Any, known: Mapping[int, Any], item: Any = _NO_ITEM) -> Any:
    """Return a value with known results in place of the references to them, and the item in its place."""
    if is_reference(value):
        ref = as_reference(value)
        return _part(known[ref.index], ref.path) if ref.index in known else value
    if _is_item(value):
        return value if item is _NO_ITEM else item
    if isinstance(value, Mapping):
        return {key: _with(part, known, item) for key, part in value.items()}
    return [_with(part, known, item) for part in value] if isinstance(value, list | tuple) else value


def _part(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None  # the node that is given it fails, no matter who asks
    return value


def _known(graph: Graph, done: Mapping[int, Any]) -> dict[int, Any]:
    """Return the results given by hand, and the values that are made of these alone."""
    found = dict(done)
    for index in graph.order() if done else ():
        node = graph.nodes[index]
        if node.kind == Kind.VALUE and index not in found:
            found[index] = _with(node.value, found)
    return found
