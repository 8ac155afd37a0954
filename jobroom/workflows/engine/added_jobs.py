"""Adds a job beside a running member of a group: what `self.add_to_chord` is to Celery.

What gathers the results of the group waits for the new node too and is given its result behind the others.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from celery import current_app
from celery.canvas import Signature, chord, group
from celery.utils import uuid
from django.db import transaction

from jobroom import redis
from jobroom.celery.routes import queue_of
from jobroom.celery.signatures import is_chain
from jobroom.jobs.models import Job
from jobroom.workflows.engine import keys, loader, scripts
from jobroom.workflows.engine.keys import NODE_STATES, NodeState
from jobroom.workflows.engine.records import record_of
from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.graph import REF, Graph, Node, When
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.nodes import kept

# So often two members may add something at the same moment before it is given up.
MEETINGS = 100
_COMMAS = frozenset({",", ", "})


def beside(workflow_id: str, node: str, signature: Any, *, send: bool) -> tuple[Signature[Any], Any]:
    """Add a node beside `node`, which runs; return its signature with its id, and what the script leaves to do.

    Raises ValueError where nothing gathers the results of `node`, as Celery does outside a chord, TypeError for what is no
    single signature, and redis errors.
    """
    signature = current_app.signature(signature)
    if is_chain(signature) or isinstance(signature, chord | group):
        raise TypeError(
            "Only a single signature can be added to a chord here. Give the job's place to a canvas: self.replace."
        )
    signature.options.setdefault("task_id", uuid())
    for _ in range(MEETINGS):
        answer = _try(workflow_id, node, signature, send=send)
        if answer is not None:
            index, outcome = answer
            signature.set(headers={"workflow": workflow_id, "node": str(index), "wants": 1})
            return signature, outcome
    raise WorkflowException(f"Too many jobs of workflow {workflow_id} are added at the same moment.")


def _try(workflow_id: str, node: str, signature: Signature[Any], *, send: bool) -> tuple[int, Any] | None:
    """Add the node unless another job changes the same records meanwhile; return its index and the script's outcome."""
    client, name = redis.client(), keys.workflow(workflow_id, "g")
    index: Any = client.hlen(name)
    text: Any = client.hget(name, node)
    edges, changes = [], []
    for edge in json.loads(text)["c"] if text else ():
        before: Any = client.hget(name, str(edge[0]))
        record = json.loads(before)
        if edge[1] == When.SUCCESS and "b" in record and _extended(record["b"], node, str(index)):
            edges.append(edge)
            changes += [str(edge[0]), before, json.dumps(record, separators=(",", ":"))]
    if not edges:
        raise ValueError("Nothing gathers the results of this job: it is no member of a group that something follows.")
    made = _node(index, signature)
    event: dict[str, Any] = {
        "type": "workflow",
        "job": None,
        "workflow": workflow_id,
        "node": node,
        "added": made.plain(),
    }
    event |= {"index": index, "children": [edge[0] for edge in edges], "at": redis.now()}
    arguments = [node, index, record_of(made, [()], edges, loader.lists()), json.dumps(event, default=str), int(send)]
    outcome = scripts.run("add", keys.workflow(workflow_id), *arguments, *changes)
    return (index, outcome) if outcome else None


def _node(index: int, signature: Signature[Any]) -> Node:
    task = str(signature.task)
    node = Node(index, f"{task.rpartition('.')[2]} {index}", signature.options["task_id"], task=task)
    node.args, node.kwargs = list(signature.args), dict(signature.kwargs)
    node.options = kept(node.key, signature.options)
    if "queue" not in node.options:
        node.options["queue"] = queue_of(task)
    return node


def _extended(parts: list[str], node: str, index: str) -> bool:
    """Put the result `index` at the end of the list in which the result of `node` stands; return whether there is one."""
    for at in range(1, len(parts), 2):
        if parts[at] != node or not _in_a_list(parts[:at]):
            continue
        end = at
        while end + 2 < len(parts) and parts[end + 1] in _COMMAS:
            end += 2
        if parts[end + 1].startswith("]"):
            parts[end + 1 : end + 1] = [",", index]
            return True
    return False


def _in_a_list(parts: list[str]) -> bool:
    """Return whether the place after the texts is in a list among the arguments, which are a list or an object themselves."""
    stack, text, quoted = [], "".join(part if at % 2 == 0 else "0" for at, part in enumerate(parts)), False
    characters = iter(text)
    for character in characters:
        if character == "\\":
            next(characters, "")
        elif character == '"':
            quoted = not quoted
        elif not quoted and character in "[{":
            stack.append(character)
        elif not quoted and character in "]}":
            stack.pop()
    return len(stack) > 2 and stack[-1] == "["


# --- in the database ---------------------------------------------------------------------------------------------------


def note(workflow_id: str, event: Mapping[str, Any]) -> None:
    """Write an added node into the stored graph; twice is the same as once."""
    with transaction.atomic():
        stored = StoredWorkflow.objects.select_for_update().filter(pk=workflow_id).first()
        if stored is None:
            return
        graph, index = stored.read_graph(), int(event["index"])
        if index < len(graph.nodes):
            return
        _place(graph, index, event)
        state = Job.objects.filter(pk=event["added"]["id"]).values_list("state", flat=True).first()
        stored.graph, stored.total = graph.dumps(), stored.total + 1
        stored.set_node_states(stored.node_states + (NODE_STATES[state] if state else NodeState.QUEUED))
        stored.save(update_fields=["graph", "total", "node_states", "counts"])


def _place(graph: Graph, index: int, event: Mapping[str, Any]) -> None:
    """Put the node at the end of the graph, and its result behind that of the node that added it."""
    made = Graph.load({"nodes": [event["added"]]}).nodes[0]
    made.index = index
    beside_node = graph.nodes[int(event["node"])]
    made.parents, made.group = list(beside_node.parents), list(beside_node.group)
    graph.nodes.append(made)
    for child in event["children"]:
        node = graph.nodes[child]
        node.parents.append((index, When.SUCCESS))
        for found in _lists_with((node.args, node.kwargs), beside_node.index):
            found.append({REF: index})


def _lists_with(value: Any, index: int, depth: int = 0) -> Iterator[list[Any]]:
    if isinstance(value, list) and depth > 1 and any(item == {REF: index} for item in value):
        yield value
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _lists_with(item, index, depth + 1)
