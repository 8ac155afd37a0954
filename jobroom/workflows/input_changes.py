"""Relaunches a definition with other inputs, and finds which nodes get other arguments by them.

The definition is put together twice, with the inputs as they were and as they are wanted. Whatever differs between the two is
given to the nodes of the graph that is kept; so what was changed at a node before, and secrets, stay as they are.
"""

from collections.abc import Mapping
from typing import Any

from jobroom.arguments.redaction import HIDDEN
from jobroom.users import User
from jobroom.workflows import admission
from jobroom.workflows.definitions import registry
from jobroom.workflows.exceptions import NotNow, WorkflowException
from jobroom.workflows.graph import Graph, Node
from jobroom.workflows.models import StoredWorkflow

Changes = dict[str, Mapping[str, Any]]
_NOTHING = object()


def schema_of(stored: StoredWorkflow) -> dict[str, Any]:
    """Return the JSON Schema of the inputs that may be changed; empty where the workflow has none, or they cannot be."""
    if stored.definition is None:
        return {}
    try:
        schema = registry.payload_schema(stored.definition)
    except WorkflowException:
        return {}  # it was kept before a rule that it breaks, or names a definition that is gone
    return schema if schema.get("properties") else {}


def is_hidden(value: Any) -> bool:
    """Return whether an input, or a part of it, is a secret that is not kept in the clear."""
    if isinstance(value, Mapping):
        return any(map(is_hidden, value.values()))
    if isinstance(value, list):
        return any(map(is_hidden, value))
    return isinstance(value, str) and HIDDEN in value


def applied(
    stored: StoredWorkflow,
    graph: Graph,
    changes: Mapping[str, Mapping[str, Any]],
    inputs: Mapping[str, Any],
    by: User | None,
) -> tuple[Changes, dict[str, Any]]:
    """Return the changes of nodes with those that other inputs make, and the whole payload.

    Args:
        stored: the workflow.
        graph: its graph.
        changes: new args and kwargs by key of node; these go before what the inputs say.
        inputs: values of inputs by name; those that are left out stay, None is the default.
        by: who changes them, as whom rows are seen; None is the machine.

    Raises:
        WrongPayload: with an entry for each wrong input.
        NotNow: where the inputs decide about more than the arguments of nodes.

    """
    new = {name: value for name, value in {**stored.payload, **inputs}.items() if value is not None}
    if not inputs or new == stored.payload:
        return dict(changes), dict(stored.payload)
    if stored.definition is None:
        raise NotNow("It was not launched from a definition, so it has no inputs. Change the arguments of its nodes.")
    before, _ = _built(stored, stored.payload)
    after, complete = _built(stored, new)
    admission.check_payload(registry.payload_schema(stored.definition), complete, by)
    found = _differences(graph, before, after)
    return {**found, **changes}, complete


def _built(stored: StoredWorkflow, payload: Mapping[str, Any]) -> tuple[Graph, dict[str, Any]]:
    if stored.definition is None:
        raise TypeError
    workflow, complete = registry.build(stored.definition, payload)
    return Graph.loads(workflow.frozen().graph.dumps()), complete


def written_nodes(stored: StoredWorkflow, graph: Graph) -> list[Node]:
    """Return the nodes as the definition gives them their arguments; none where it cannot be said, or they are others."""
    if stored.definition is None:
        return []
    try:
        built, _ = _built(stored, stored.payload)
    except WorkflowException:
        return []
    same = [node.key for node in built.nodes] == [node.key for node in graph.nodes[: len(built.nodes)]]
    return built.nodes if same else []


def _differences(graph: Graph, before: Graph, after: Graph) -> Changes:
    """Return the changes of the kept graph's nodes; raise NotNow where more than arguments differ."""
    if [_shape(node) for node in before.nodes] != [
        _shape(node) for node in after.nodes
    ] or before.result != after.result:
        raise NotNow(
            "With these inputs the workflow has other steps, or its steps wait for something else. Launch it with them."
        )
    kept = {node.key: node for node in graph.nodes}
    found: Changes = {}
    for old, new in zip(before.nodes, after.nodes, strict=True):
        if (old.args, old.kwargs) != (new.args, new.kwargs) and old.key in kept:
            found[old.key] = _merged(kept[old.key], old, new)
    return found


def _shape(node: Node) -> dict[str, Any]:
    """Return all of a node but its arguments, and the ids that are made for each run."""
    return {name: value for name, value in node.plain().items() if name not in {"id", "args", "kwargs", "embed"}}


def _merged(kept: Node, old: Node, new: Node) -> dict[str, Any]:
    args = [*kept.args]
    for place, value in enumerate(new.args):
        if place >= len(old.args) or old.args[place] != value:
            args[place : place + 1] = [value]
    kwargs = {**kept.kwargs}
    for name in {*old.kwargs, *new.kwargs}:
        value = new.kwargs.get(name, _NOTHING)
        if value is _NOTHING:
            kwargs.pop(name, None)
        elif old.kwargs.get(name, _NOTHING) != value:
            kwargs[name] = value
    return {"args": args, "kwargs": kwargs}
