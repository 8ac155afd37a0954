"""Keeps the database of workflows: what their nodes' jobs and the engine tell, through the recorder."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.urls import reverse
from kombu.exceptions import KombuError

from jobroom import bounds, redis, rounds
from jobroom.jobs.signals import attention_asked
from jobroom.live.publish import publish
from jobroom.signals import event_recorded, glance, housekeeping, nodes_changed
from jobroom.users import User
from jobroom.workflows import approvals
from jobroom.workflows.engine import added_jobs, sweeper, verification
from jobroom.workflows.engine.keys import GOOD, WAITS_OUTSIDE, NodeState
from jobroom.workflows.engine.loader import NODE_STATES
from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.models import FINISHED, State, StoredWorkflow

logger = logging.getLogger(__name__)

# Characters of the error of a workflow.
LONGEST_ERROR = 2000


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


def _nodes(nodes: Iterable[tuple[str, str, str, str]], **_: Any) -> None:
    """Write down the letters of nodes whose jobs are in another state now, and see that the engine knows of ends."""
    found: dict[str, dict[str, NodeState]] = defaultdict(dict)
    for workflow_id, node, state, _job in nodes:
        found[workflow_id][node] = NODE_STATES[state]
    for workflow_id, letters in sorted(found.items()):
        with rounds.isolated("recording workflows", f"workflow {workflow_id}"):
            set_letters(workflow_id, letters)
            sweeper.told(workflow_id, letters)
            verification.proofs.forget(workflow_id)


def set_letters(workflow_id: str, letters: dict[str, NodeState], **fields: Any) -> None:
    """Change the letters of some nodes in the database; items of fan-outs have none."""
    with transaction.atomic():
        stored = StoredWorkflow.objects.select_for_update().only("letters", "counts").filter(pk=workflow_id).first()
        if stored is None:
            return
        row = list(stored.letters)
        for node, letter in letters.items():
            if node.isdecimal() and int(node) < len(row) and _may_follow(row[int(node)], letter):
                row[int(node)] = str(letter)
        stored.set_letters("".join(row))
        StoredWorkflow.objects.filter(pk=workflow_id).update(letters=stored.letters, counts=stored.counts, **fields)
    _tell(workflow_id)


def _may_follow(before: str, letter: NodeState) -> bool:
    """Return whether a letter counts: what a batch says of nodes without a job comes behind what it says of jobs."""
    if letter == NodeState.WAITING:
        return before == NodeState.BLOCKED  # it is blocked no more
    return letter != NodeState.BLOCKED or before not in GOOD


def _tell(workflow_id: str) -> None:
    changed = {"type": "changed", "seq": 0}
    try:
        publish([(f"workflow:{workflow_id}", changed), ("workflows", {**changed, **_whose(workflow_id)})])
    except (redis.Error, OSError):
        return  # pages look by themselves while Redis is away


def _whose(workflow_id: str) -> dict[str, Any]:
    """Return who may see something of a workflow: its owner, and the groups that decide in it."""
    stored = StoredWorkflow.objects.only("owner_id", "waiting_since").filter(pk=workflow_id).first()
    if stored is None:
        return {"owner": None, "groups": []}
    nodes = stored.read_graph().nodes if stored.waiting_since else []  # the graph is read where someone decides
    return {"owner": stored.owner_id, "groups": sorted({str(g) for n in nodes for g in n.options.get("groups") or []})}


def _event(event: dict[str, Any], **_: Any) -> None:
    """Write down what the engine tells of a workflow."""
    if event.get("type") != "workflow":
        return
    workflow_id = str(event.get("workflow") or "")
    if "state" in event:
        ended(workflow_id, event)
    elif "added" in event:
        added_jobs.note(workflow_id, event)
        _tell(workflow_id)
    elif "items" in event:
        _items(workflow_id, str(event["node"]), int(event["items"]))
    elif isinstance(event.get("letters"), dict):
        letters = {str(node): NodeState(letter) for node, letter in event["letters"].items()}
        set_letters(workflow_id, letters)
        _note(workflow_id, letters, event)


def _items(workflow_id: str, node: str, count: int) -> None:
    with transaction.atomic():
        stored = StoredWorkflow.objects.select_for_update().only("items").filter(pk=workflow_id).first()
        if stored is not None:
            StoredWorkflow.objects.filter(pk=workflow_id).update(items={**stored.items, node: count})


def _note(workflow_id: str, letters: dict[str, NodeState], event: dict[str, Any]) -> None:
    """Remember since when someone or something outside is waited for, and why a node without a job failed."""
    waiting = {node: event.get("at") for node, letter in letters.items() if letter in WAITS_OUTSIDE}
    error = event.get("error")
    if not waiting and not error:
        return
    with transaction.atomic():
        stored = StoredWorkflow.objects.select_for_update().defer("graph").filter(pk=workflow_id).first()
        if stored is None:
            return
        stored.waiting_since = {**stored.waiting_since, **waiting}
        if error:
            stored.error = bounds.shorten(str(error), LONGEST_ERROR)
        stored.save(update_fields=["waiting_since", "error"])
    if waiting:
        _tell(workflow_id)  # those who decide it hear of it only now


def ended(workflow_id: str, event: dict[str, Any]) -> None:
    from jobroom.jobs.recorder.parse import result_of_text

    state = State(event["state"])
    fields: dict[str, Any] = {"state": state, "finished_at": datetime.fromtimestamp(float(event["at"]), UTC)}
    if state == State.SUCCESS:
        fields["result"] = result_of_text(event.get("result"))
    # Of an earlier life, if it has been resumed since: that is over.
    stored = StoredWorkflow.objects.filter(pk=workflow_id, epoch=int(event.get("epoch") or 0))
    stored.exclude(state__in=FINISHED).update(**fields)
    _tell(workflow_id)


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
