"""Encrypts the secrets of a workflow before it is stored: neither the database nor Redis holds one in the clear.

The graph must keep the arguments of its nodes: from it a workflow is loaded again, resumed and run again. So they are
sealed there (`jobroom.arguments.encryption`), travel sealed, and are opened by the worker that starts the node.
"""

from collections.abc import Mapping
from typing import Any

from celery import current_app

from jobroom.arguments.redaction import seal_arguments, seal_leaves, seal_signatures, secrets_of, secrets_of_signatures
from jobroom.workflows.graph import ITEM, Graph, Node, is_reference


def seal(graph: Graph, payload: Mapping[str, Any]) -> frozenset[str]:
    """Seal the secrets in the arguments of all nodes; return them, to be hidden in whatever else is written down.

    Secret is what a task or a name says, in the arguments of a node or in the payload, wherever the same text stands.
    """
    secrets = set(secrets_of(None, [], payload))
    for node in graph.nodes:
        secrets |= _secrets(node)
    known = frozenset(secrets)
    for node in graph.nodes:
        node.args, node.kwargs = seal_arguments(_function(node.task), node.args, node.kwargs, keep=is_place)
        if known:
            node.args, node.kwargs = seal_leaves(node.args, known), seal_leaves(node.kwargs, known)
        node.payload = seal_leaves(node.payload, known)
        node.embed = seal_signatures(node.embed, _function)
    return known


def is_place(value: Any) -> bool:
    """Return whether a result, or an item of a fan-out, will be put in place of `value`."""
    return is_reference(value) or (isinstance(value, Mapping) and value.keys() == {ITEM})


def _secrets(node: Node) -> set[str]:
    found = secrets_of(_function(node.task), _without_places(node.args), _without_places(node.kwargs))
    return found | secrets_of_signatures(node.embed, _function)


def _function(task: str) -> Any:
    return getattr(current_app.tasks.get(task), "run", None)


def _without_places(value: Any) -> Any:
    if is_place(value):
        return None
    if isinstance(value, Mapping):
        return {key: _without_places(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_places(item) for item in value]
    return value
