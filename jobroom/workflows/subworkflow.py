"""A workflow inside another one."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from celery.utils import uuid

from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.graph import Node, When, to_json
from jobroom.workflows.nodes import WorkflowNode

if TYPE_CHECKING:
    from jobroom.workflows.workflows import Workflow


class Placed:
    """The nodes of `inner` put behind those of `outer`; `starts`, `ends` and `result` are for what waits for them."""

    def __init__(self, outer: "Workflow", inner: "Workflow", before: Sequence[Node], key: str) -> None:
        first = len(outer.graph.nodes)
        for node in inner.graph.nodes:
            job_id = node.id if node.id not in outer.nodes else uuid()  # a copy runs as jobs of its own
            made = outer._new(f"{key}: {node.key}", job_id, node.kind)
            moved = _shifted(json.loads(json.dumps(node.plain(), default=to_json)), first)
            for name, value in moved.items():
                if name not in {"key", "id", "kind", "parents"}:
                    setattr(made, name, value)
            made.guards = [{**guard, "of": [index + first for index in guard["of"]]} for guard in made.guards]
            made.parents = [(parent + first, when) for parent, when in node.parents]
            if not made.parents and node.index not in inner.graph.handlers:
                made.parents = [(parent.index, When.SUCCESS) for parent in before]
            made.group = [key, *node.group]
            outer.nodes[made.id] = WorkflowNode(outer, made)
        if inner.graph.handlers:
            raise WorkflowException(f"The workflow “{key}” has a handler of its own; only the outermost can have one.")
        inner.check()
        children = inner.graph.children()
        self.starts = [outer.nodes[n.id] for n in inner.graph.nodes if not n.parents]
        self.ends = [outer.nodes[n.id] for n in inner.graph.nodes if not children[n.index]]
        self.result = _shifted(json.loads(json.dumps(inner.graph.result, default=to_json)), first)


def _shifted(value: Any, by: int) -> Any:
    """Return JSON with every reference moved by so many places."""
    if isinstance(value, dict):
        if "$node" in value and set(value) <= {"$node", "path"}:
            return {**value, "$node": value["$node"] + by}
        return {key: _shifted(item, by) for key, item in value.items()}
    return [_shifted(item, by) for item in value] if isinstance(value, list) else value
