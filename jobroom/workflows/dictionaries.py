"""Workflows as dictionaries: ours, and those that celery-dyrygent has written."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from jobroom.workflows.canvas import NOTHING
from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.graph import Graph, When, to_json
from jobroom.workflows.nodes import WorkflowNode, when

if TYPE_CHECKING:
    from jobroom.workflows.workflows import Workflow

Made = TypeVar("Made", bound="Workflow")

VERSION = 2
# Attributes that both kinds of dictionaries have under the name of the attribute.
SAME = (
    "id", "state", "finished", "running", "custom_payload", "tasks_options", "workflow_options", "retry_policy",
    "processing_limit_ts",
)  # fmt: skip


def written(workflow: "Workflow") -> dict[str, Any]:
    """Return the workflow as JSON, with all that it needs to be made again, whether it is checked yet or not."""
    found = {name: getattr(workflow, name) for name in SAME}
    found |= {
        "version": VERSION,
        "name": workflow.name,
        "graph": json.loads(workflow.graph.dumps()),
        "stats": dict(workflow.stats),
        "external": list(workflow.external),
        "max_processing_time": workflow.max_processing_time,
        "returns": workflow._returns,
    }
    if workflow._value is not NOTHING:
        found["value"] = json.loads(json.dumps(workflow._value, default=to_json))
    return {**found, "finished": dict(workflow.finished), "running": dict(workflow.running)}


def read(kind: "type[Made]", found: Mapping[str, Any]) -> "Made":
    """Return the workflow of a dictionary; raise WorkflowException, which says what is missing."""
    made = kind(found.get("workflow_options"), name=found.get("name", ""), external=tuple(found.get("external", ())))
    try:
        if "graph" in found:
            _take_graph(made, found)
        elif "nodes" in found:
            _take_nodes(made, found["nodes"])
        else:
            raise WorkflowException("This is no workflow: it has neither `graph` nor, as celery-dyrygent, `nodes`.")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise WorkflowException(
            f"This dictionary cannot be read as a workflow: {type(error).__name__} {error}."
        ) from error
    for name in SAME:
        if name in found:
            setattr(made, name, found[name])
    made.max_processing_time = found.get("max_processing_time", made.max_processing_time)
    made.stats |= {name: value for name, value in (found.get("stats") or {}).items() if isinstance(value, int)}
    return made


def _take_graph(made: "Workflow", found: Mapping[str, Any]) -> None:
    made.graph = Graph.load(found["graph"])
    made.nodes = {node.id: WorkflowNode(made, node) for node in made.graph.nodes}
    for node in made.graph.nodes:
        made._keys[node.key] = made._keys.get(node.key, 0) + 1
    made._value = found.get("value", NOTHING)
    made._returns = found.get("returns", made.graph.result is not None)


def _take_nodes(made: "Workflow", nodes: Mapping[str, Mapping[str, Any]]) -> None:
    """Take the nodes of celery-dyrygent: each a signature, and the ids that it waits for."""
    alone = {node_id: WorkflowNode.from_dict({"id": node_id, **node}) for node_id, node in nodes.items()}
    for node in alone.values():
        # There a signature is given nothing by what comes before, so that all of them are as good as immutable.
        made.add_signature(node.signature, key=node.node.key).node.payload = node.node.payload
    for node_id, node in alone.items():
        for other, options in node.dependencies.items():
            if other not in made.nodes:
                raise WorkflowException(f"“{node.node.key}” waits for {other}, which is not among the nodes.")
            condition = when((options or {}).get("when", "success"))
            made.nodes[node_id].node.parents.append((made.nodes[other].node.index, When(condition)))
