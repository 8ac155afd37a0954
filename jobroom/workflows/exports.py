"""Exports stored workflows to the form in which they are written, with their progress."""

from jobroom.arguments.encryption import opened
from jobroom.workflows.current_state import node_states_now
from jobroom.workflows.engine.keys import ENDED, GOOD, WAITS_OUTSIDE, NodeState
from jobroom.workflows.graph import Graph
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.workflows import Workflow

AT_WORK = frozenset({NodeState.QUEUED, NodeState.RUNNING, NodeState.EXPANDING, *WAITS_OUTSIDE})


def as_written(workflow_id: str) -> Workflow | None:
    """Return a stored workflow in the form in which it was written, with how far it is; None if there is none."""
    stored = StoredWorkflow.objects.filter(pk=workflow_id).first()
    if stored is None:
        return None
    found = rewritten(stored, stored.read_graph())
    learn(found, stored)
    return found


def learn(workflow: Workflow, stored: StoredWorkflow) -> None:
    """Let a written workflow know which of its nodes run and which have finished, and how."""
    node_states = node_states_now(stored)
    ids = {node.id: NodeState(node_states[node.index]) for node in workflow.graph.nodes}
    handlers = {workflow.graph.nodes[index].id for index in workflow.graph.handlers}
    ended = {
        node_id: node_state
        for node_id, node_state in ids.items()
        if node_state in ENDED and node_state != NodeState.BLOCKED
    }
    workflow.finished = {i: node_state in GOOD for i, node_state in ended.items() if i not in handlers}
    workflow.running = {i: 1 for i, node_state in ids.items() if node_state in AT_WORK}
    workflow.state = stored.state


def rewritten(stored: StoredWorkflow, graph: Graph) -> Workflow:
    """Return the workflow as it is written in Python."""
    options = stored.options
    return Workflow.from_dict(
        {
            "id": stored.pk,
            "name": stored.name,
            "state": stored.state,
            "graph": graph.plain(),
            "custom_payload": opened(stored.custom_payload),
            "workflow_options": options.get("workflow", {}),
            "tasks_options": options.get("tasks", {}),
            "external": options.get("external", []),
            "max_processing_time": options.get("max_processing_time", 0) or 7 * 24 * 3600,
        }
    )
