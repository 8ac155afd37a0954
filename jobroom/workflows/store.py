"""Writes the states of workflows and nodes into the database, and publishes the changes."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from jobroom import redis, truncation
from jobroom.jobs.models import Job
from jobroom.jobs.recorder.parse import result_of_text
from jobroom.live.publish import publish
from jobroom.workflows.engine.keys import ENDED, GOOD, WAITS_OUTSIDE, NodeState
from jobroom.workflows.models import FINISHED, State, StoredWorkflow

# States of nodes before their end of which no job reports.
_WITHOUT_JOB = frozenset({NodeState.EXPANDING, NodeState.HELD, *WAITS_OUTSIDE})
# Characters of the error of a workflow.
LONGEST_ERROR = 2000


def set_node_states(workflow_id: str, node_states: Mapping[str, NodeState]) -> None:
    """Change the states of some nodes in the database; items of fan-outs have none."""
    _change_node_states(workflow_id, lambda _: node_states)


def follow_jobs(workflow_id: str, changes: Mapping[str, tuple[NodeState, int]]) -> tuple[Mapping[str, NodeState], int]:
    """Give nodes and items the states of their jobs; return those that count, and the epoch of the workflow in which they do.

    Args:
        workflow_id: whose nodes.
        changes: by node the state of its job and the event from which this follows. An event of a life before the last
            resume does not count, however late it is recorded, and neither does what a job says of a node that someone
            has declared done.

    """

    epoch = 0

    def counting(stored: StoredWorkflow) -> dict[str, NodeState]:
        nonlocal epoch
        epoch = stored.epoch
        before = (stored.options.get("lives") or {}).get("before", 0)
        done = {node for node, decision in stored.decisions.items() if decision.get("done")}
        return {
            node: node_state
            for node, (node_state, event) in changes.items()
            if (not before or event > before) and node not in done
        }

    return _change_node_states(workflow_id, counting), epoch


def follow_engine(workflow_id: str, node_states: Mapping[str, NodeState], event: Mapping[str, Any]) -> None:
    """Give nodes the states that the engine reports of them, unless their jobs have reported since or it was in an earlier life."""

    def counting(stored: StoredWorkflow) -> dict[str, NodeState]:
        if _is_of_earlier_life(stored, event):
            return {}
        jobs = Job.objects.filter(workflow_id=workflow_id, node__in=node_states, state_event__gt=event["seq"])
        newer = set(jobs.values_list("node", flat=True))
        return {node: node_state for node, node_state in node_states.items() if node not in newer}

    if counted := _change_node_states(workflow_id, counting):
        _note(workflow_id, counted, event)


def _is_of_earlier_life(stored: StoredWorkflow, event: Mapping[str, Any]) -> bool:
    """Return whether the engine reported this before the workflow was resumed; events from before there were epochs count."""
    return int(event.get("epoch") or stored.epoch) < stored.epoch


def _change_node_states(
    workflow_id: str, counting: Callable[[StoredWorkflow], Mapping[str, NodeState]]
) -> Mapping[str, NodeState]:
    """Change what `counting` chooses by the row, which is locked meanwhile: a resume comes before all of it or after it."""
    with transaction.atomic():
        rows = StoredWorkflow.objects.select_for_update().only("node_states", "counts", "options", "decisions", "epoch")
        stored = rows.filter(pk=workflow_id).first()
        node_states = counting(stored) if stored is not None else {}
        if stored is None or not node_states:
            return {}
        row = list(stored.node_states)
        for node, node_state in node_states.items():
            if node.isdecimal() and int(node) < len(row) and _may_follow(row[int(node)], node_state):
                row[int(node)] = str(node_state)
        stored.set_node_states("".join(row))
        stored.save(update_fields=["node_states", "counts"])
    publish_change(workflow_id)
    return node_states


def _may_follow(before: str, node_state: NodeState) -> bool:
    """Return whether a state counts: what a batch says of nodes without a job comes behind what it says of jobs, and a batch
    whose recorder was killed comes behind later ones.
    """
    if node_state == NodeState.WAITING:
        return before == NodeState.BLOCKED  # it is blocked no more
    if node_state in _WITHOUT_JOB:
        return before not in ENDED or before == NodeState.BLOCKED
    return node_state != NodeState.BLOCKED or before not in GOOD


def publish_change(workflow_id: str) -> None:
    """Publish that a workflow has changed, to its page and to the lists of those who may see it."""
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


def set_items(workflow_id: str, node: str, count: int, event: Mapping[str, Any]) -> None:
    """Remember how many jobs a fan-out has, as the engine reports in `event`."""
    with transaction.atomic():
        stored = StoredWorkflow.objects.select_for_update().only("items", "epoch").filter(pk=workflow_id).first()
        if stored is not None and not _is_of_earlier_life(stored, event):
            StoredWorkflow.objects.filter(pk=workflow_id).update(items={**stored.items, node: count})


def _note(workflow_id: str, node_states: Mapping[str, NodeState], event: Mapping[str, Any]) -> None:
    """Remember since when someone or something outside is waited for, and why a node without a job failed."""
    waiting = {node: event.get("at") for node, node_state in node_states.items() if node_state in WAITS_OUTSIDE}
    error = event.get("error")
    if not waiting and not error:
        return
    with transaction.atomic():
        stored = StoredWorkflow.objects.select_for_update().defer("graph").filter(pk=workflow_id).first()
        if stored is None:
            return
        stored.waiting_since = {**stored.waiting_since, **waiting}
        if error:
            stored.error = truncation.shorten(str(error), LONGEST_ERROR)
        stored.save(update_fields=["waiting_since", "error"])
    if waiting:
        publish_change(workflow_id)  # those who decide it hear of it only now


def ended(workflow_id: str, event: dict[str, Any]) -> None:
    """Write down how a workflow has ended, unless it has been resumed since."""
    state = State(event["state"])
    fields: dict[str, Any] = {"state": state, "finished_at": datetime.fromtimestamp(float(event["at"]), UTC)}
    if state == State.SUCCESS:
        fields["result"] = result_of_text(event.get("result"))
        # That it took too long was written before the engine heard of it, and its last node was quicker.
        fields["error"] = ""
    # Of an earlier life, if it has been resumed since: that is over. Of a later one, if it was made again a moment ago.
    stored = StoredWorkflow.objects.filter(pk=workflow_id, epoch__lte=int(event.get("epoch") or 0))
    stored.exclude(state__in=FINISHED).update(**fields)
    publish_change(workflow_id)
