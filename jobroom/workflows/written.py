"""Stored workflows in the form in which they are written, with how far they are."""

from jobroom.arguments.encryption import opened
from jobroom.workflows.current_state import node_states_now
from jobroom.workflows.engine import sweeper
from jobroom.workflows.engine.keys import ENDED, GOOD, WAITS_OUTSIDE, NodeState
from jobroom.workflows.exceptions import WorkflowException
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
    _learn(found, stored)
    return found


def _learn(workflow: Workflow, stored: StoredWorkflow) -> None:
    """Let a written workflow know which of its nodes run and which have finished, and how."""
    letters = node_states_now(stored)
    ids = {node.id: NodeState(letters[node.index]) for node in workflow.graph.nodes}
    handlers = {workflow.graph.nodes[index].id for index in workflow.graph.handlers}
    ended = {node_id: letter for node_id, letter in ids.items() if letter in ENDED and letter != NodeState.BLOCKED}
    workflow.finished = {i: letter in GOOD for i, letter in ended.items() if i not in handlers}
    workflow.running = {i: 1 for i, letter in ids.items() if letter in AT_WORK}
    workflow.state = stored.state


def look_after(workflow: Workflow) -> bool:
    """Do a round of the sweeper for one workflow and let the written one know how far it is; return whether it goes on."""
    stored = StoredWorkflow.objects.filter(pk=workflow.id or "").first()
    if stored is None:
        raise WorkflowException(f"{workflow!r} was not sent yet. Call `apply_async` first.")
    if not stored.is_finished:
        sweeper.Round(stored).work()
        stored.refresh_from_db()
    _learn(workflow, stored)
    return not stored.is_finished


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
