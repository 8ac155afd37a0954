"""Writes into the database what nodes' jobs and the engine report, by signals of the recorder."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from django.urls import reverse
from kombu.exceptions import KombuError

from jobroom import housekeeping_loops, redis
from jobroom.jobs.signals import attention_asked
from jobroom.signals import event_recorded, glance, housekeeping, nodes_changed
from jobroom.users import User
from jobroom.workflows import approvals, services, store
from jobroom.workflows.engine import added_jobs
from jobroom.workflows.engine.keys import NODE_STATES, NodeState
from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.repair import sweeper, verification
from jobroom.workflows.signals import tick_asked, workflow_sent
from jobroom.workflows.workflows import Workflow

logger = logging.getLogger(__name__)


def _decisions(*, user: User, **_: Any) -> list[tuple[str, str]]:
    """Return the decisions that the person could make now."""
    address = reverse("jobroom:workflows:decisions")
    return [(f"{one.stored}: {one.approval.question}", address) for one in approvals.open_to(user)]


def connect() -> None:
    """Connect the receivers; twice is the same as once."""
    attention_asked.connect(_decisions, dispatch_uid="jobroom.workflows.decisions")
    nodes_changed.connect(_nodes, dispatch_uid="jobroom.workflows.nodes")
    event_recorded.connect(_event, dispatch_uid="jobroom.workflows.event")
    housekeeping.connect(_housekeep, dispatch_uid="jobroom.workflows.sweep")
    glance.connect(_glance, dispatch_uid="jobroom.workflows.glance")
    workflow_sent.connect(_start, dispatch_uid="jobroom.workflows.start")
    tick_asked.connect(_tick, dispatch_uid="jobroom.workflows.tick")


def _start(workflow: Workflow, launch: dict[str, Any], **_: Any) -> None:
    """Write a workflow of Python code into the database, and begin it."""
    services.start(workflow, **launch)


def _tick(workflow: Workflow, **_: Any) -> bool:
    """Look after one workflow, because its code asks for it."""
    return sweeper.look_after(workflow)


def _nodes(nodes: Iterable[tuple[str, str, str, int]], **_: Any) -> None:
    """Write down the states of nodes whose jobs are in another state now, and see that the engine knows of ends."""
    found: dict[str, dict[str, tuple[NodeState, int]]] = defaultdict(dict)
    for workflow_id, node, state, event in nodes:
        found[workflow_id][node] = NODE_STATES[state], event
    for workflow_id, changes in sorted(found.items()):
        with housekeeping_loops.isolated("recording workflows", f"workflow {workflow_id}"):
            node_states, epoch = store.follow_jobs(workflow_id, changes)
            sweeper.confirm_ends(workflow_id, node_states, epoch)
            verification.proofs.forget(workflow_id)


def _event(event: dict[str, Any], **_: Any) -> None:
    """Write down what the engine reports of a workflow."""
    if event.get("type") != "workflow":
        return
    workflow_id = str(event.get("workflow") or "")
    if "state" in event:
        store.ended(workflow_id, event)
    elif "added" in event:
        added_jobs.note(workflow_id, event)
        store.publish_change(workflow_id)
    elif "items" in event:
        store.set_items(workflow_id, str(event["node"]), int(event["items"]), event)
    elif isinstance(
        found := event.get("node_states", event.get("letters")), dict
    ):  # events from before the upgrade too
        node_states = {str(node): NodeState(node_state) for node, node_state in found.items()}
        store.follow_engine(workflow_id, node_states, event)


def _housekeep(**_: Any) -> None:
    sweeper.safely()
    _safely("Proving workflows that have ended", verification.prove)


def _glance(**_: Any) -> None:
    _safely("Looking at what is due", verification.glance)


def _safely(what: str, look: Callable[[], object]) -> None:
    """Do what is tried again at the next look; one workflow that is not as it should be must not stop the recorder."""
    try:
        look()
    except (redis.Error, KombuError, OSError, WorkflowException) as error:
        logger.warning("%s waits: %s", what, error)
