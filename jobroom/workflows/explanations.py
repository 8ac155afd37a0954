"""Describes in words what a node is, what it waits for, and its arguments."""

import dataclasses
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import current_app

from jobroom.arguments.redaction import hide_arguments
from jobroom.workflows.engine.keys import ENDED, NodeState, comes_true
from jobroom.workflows.graph import ITEM, Graph, Kind, Node, When, as_reference, is_reference
from jobroom.workflows.models import State, StoredWorkflow

# So many nodes are named; more are counted.
NAMED = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """How a state looks: word, icon and class, never colour alone."""

    word: str
    icon: str
    css: str


LOOKS: dict[str, Look] = {
    NodeState.SUCCEEDED: Look("Succeeded", "succeeded", "succeeded"),
    NodeState.SKIPPED: Look("Skipped", "skipped", "skipped"),
    NodeState.FAILED: Look("Failed", "failed", "failed"),
    NodeState.LOST: Look("Lost", "lost", "lost"),
    NodeState.TIMED_OUT: Look("Not in time", "failed", "failed"),
    NodeState.CANCELLED: Look("Cancelled", "cancelled", "cancelled"),
    NodeState.BLOCKED: Look("Blocked", "blocked", "blocked"),
    NodeState.RUNNING: Look("Running", "running", "running"),
    NodeState.EXPANDING: Look("Running jobs", "running", "running"),
    NodeState.APPROVAL: Look("Waits for a person", "person", "approval"),
    NodeState.EVENT: Look("Waits for an event", "waiting", "approval"),
    NodeState.QUEUED: Look("Queued", "queued", "queued"),
    NodeState.HELD: Look("Held back", "paused", "held"),
    NodeState.WAITING: Look("Waiting", "waiting", "waiting"),
}
# In this order they stand in bars: what has ended first, what is to come last.
ORDER = "".join(LOOKS)

STATES: dict[str, Look] = {
    State.INITIAL: Look("Not started", "waiting", "waiting"),
    State.RUNNING: Look("Running", "running", "running"),
    State.PAUSED: Look("Paused", "paused", "held"),
    State.SUCCESS: Look("Succeeded", "succeeded", "succeeded"),
    State.FAILURE: Look("Failed", "failed", "failed"),
    State.ERROR: Look("Error", "lost", "lost"),
    State.CANCELLED: Look("Cancelled", "cancelled", "cancelled"),
}

KINDS = {
    Kind.TASK: "one job",
    Kind.VALUE: "a value made of other results, without a job",
    Kind.APPROVAL: "a decision of a person",
    Kind.EVENT: "an event that is delivered from outside",
    Kind.FAN_OUT: "one job for each item of a list",
}


def counted(counts: dict[str, int]) -> str:
    """Return numbers by state in words: “3 succeeded, 1 failed”."""
    return ", ".join(
        f"{counts[node_state]:,} {LOOKS[node_state].word.lower()}" for node_state in ORDER if counts.get(node_state)
    )


def waits(stored: StoredWorkflow, graph: Graph, node_states: str, node: Node) -> str:
    """Return in one sentence what a node waits for, or why it will not run; empty when there is nothing to say."""
    node_state = node_states[node.index]
    if node_state == NodeState.WAITING:
        return _waits_for(stored, graph, node_states, node)
    if node_state == NodeState.BLOCKED:
        return _blocked(stored, graph, node_states, node)
    if node_state == NodeState.HELD:
        return "Ready, but held back because the workflow is paused."
    if node_state == NodeState.EXPANDING:
        return "Its jobs are running, one for each item."
    return ""


def _waits_for(stored: StoredWorkflow, graph: Graph, node_states: str, node: Node) -> str:
    if node.index == graph.finalizer:
        return "Runs once at the very end, however the workflow ends."
    if node.index == graph.on_failure:
        return "Runs once if something failed, when nothing more can run."
    if stored.is_finished:
        return f"It was not started before the workflow ended ({STATES[stored.state].word.lower()})."
    open_edges = [(graph.nodes[p], when) for p, when in node.parents if node_states[p] not in ENDED]
    if not open_edges:
        return "Ready: it is sent in a moment."
    names = _listed(_condition(parent, when) for parent, when in open_edges)
    ended = len(node.parents) - len(open_edges)
    first = "the first of " if node.join == "any" and len(node.parents) > 1 else ""
    return f"Waits for {first}{names} ({ended} of {len(node.parents)} ended)."


def _condition(node: Node, when: When) -> str:
    word = {When.SUCCESS: "", When.FAILURE: " to fail", When.ALWAYS: " to end, however", When.TIMEOUT: " to time out"}[
        when
    ]
    return f"“{node.title}”{word}"


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    if len(found) > NAMED:
        return f"{', '.join(found[:NAMED])} and {len(found) - NAMED} more"
    return f"{', '.join(found[:-1])} and {found[-1]}" if len(found) > 1 else found[0]


def _blocked(stored: StoredWorkflow, graph: Graph, node_states: str, node: Node) -> str:
    if node.index == graph.on_failure:
        return "Nothing failed, so it was not needed."
    reasons = [
        _why(graph.nodes[parent], node_states[parent], when)
        for parent, when in node.parents
        if node_states[parent] in ENDED and not comes_true(when, node_states[parent])
    ]
    if not reasons:
        return "It will not run: the workflow ended before."
    return f"It will not run, because {_listed(reasons)}."


def _why(node: Node, node_state: str, when: When) -> str:
    if when == When.FAILURE:
        return f"“{node.title}” did not fail"
    if when == When.TIMEOUT:
        return f"“{node.title}” came in time"
    verbs = {
        NodeState.FAILED: "was denied" if node.kind == Kind.APPROVAL else "failed",
        NodeState.LOST: "was lost with its worker",
        NodeState.CANCELLED: "was cancelled",
        NodeState.TIMED_OUT: "did not come in time",
        NodeState.BLOCKED: "is blocked itself",
    }
    return f"“{node.title}” {verbs.get(NodeState(node_state), 'ended otherwise')}"


# --- what a node is given --------------------------------------------------------------------------------------------


def shown_arguments(node: Node) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a node as they are written, references in them, secrets hidden."""
    task = current_app.tasks.get(node.task)
    return hide_arguments(getattr(task, "run", None), node.args, node.kwargs)


_REFERENCE = re.compile(r'"\\u0001(.*?)\\u0001"')


def readable(graph: Graph, value: Any) -> str:
    """Return JSON as a person reads it: a reference as `report.result["total"]`, the item of a fan-out as `item`."""
    text = json.dumps(_named(graph, value), indent=2, ensure_ascii=False, default=str)
    marked = text.replace("\x01", "\\u0001")
    return _REFERENCE.sub(lambda found: str(json.loads(f'"{found[1]}"')), marked)


def _named(graph: Graph, value: Any) -> Any:
    if is_reference(value):
        ref = as_reference(value)
        known = 0 <= ref.index < len(graph.nodes)
        key = graph.nodes[ref.index].key if known else f"node {ref.index}"
        path = "".join(f"[{json.dumps(part, ensure_ascii=False)}]" for part in ref.path)
        return f"\x01{key}.result{path}\x01"
    if isinstance(value, dict):
        return "\x01item\x01" if value.keys() == {ITEM} else {key: _named(graph, item) for key, item in value.items()}
    return [_named(graph, item) for item in value] if isinstance(value, list | tuple) else value


# --- approvals -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(slots=True)
class Approval:
    """A decision that is waited for, or was made."""

    node: Node
    question: str
    who: str
    until: datetime | None
    then: str  # what follows when no one decides in time
    may: bool  # whether the one who looks may decide
    decision: dict[str, Any] | None


@dataclasses.dataclass(slots=True)
class Event:
    """An event that is waited for, or was delivered."""

    node: Node
    about: str
    until: datetime | None
    open: bool  # whether it is waited for now
    decision: dict[str, Any] | None


def event(stored: StoredWorkflow, node: Node, node_state: str) -> Event:
    """Return what there is to know of an event."""
    decision = stored.decisions.get(str(node.index))
    about = node.options.get("about") or node.key
    return Event(node, about, _until(stored, node), node_state == NodeState.EVENT, decision)


def _until(stored: StoredWorkflow, node: Node) -> datetime | None:
    """Return when the time of a node that waits is over; None if there is no limit, or it does not wait yet."""
    timeout, since = node.options.get("timeout"), stored.waiting_since.get(str(node.index))
    if timeout is None or since is None:
        return None
    return datetime.fromtimestamp(float(since), UTC) + timedelta(seconds=float(timeout))


def approval(stored: StoredWorkflow, node: Node, *, may: bool) -> Approval:
    """Return what there is to know of an approval."""
    options = node.options
    groups = options.get("groups") or []
    who = f"Staff and members of {_listed(groups)}" if groups else "Staff"
    then = "it is approved by itself" if options.get("on_timeout") == "approve" else "it is denied by itself"
    decision = stored.decisions.get(str(node.index))
    question = options.get("question") or node.title
    return Approval(node, question, who, _until(stored, node), then, may, decision)
