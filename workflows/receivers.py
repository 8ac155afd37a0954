"""Keeps the book of workflows: what their nodes' jobs and the engine tell, through the recorder."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from common import redis
from common.signals import event_recorded, housekeeping, nodes_changed
from live.publish import publish
from workflows.engine import sweeping
from workflows.engine.keys import Letter
from workflows.engine.loading import LETTERS
from workflows.models import FINISHED, State, StoredWorkflow

logger = logging.getLogger(__name__)


def connect() -> None:
    """Connect the receivers; twice is the same as once."""
    nodes_changed.connect(_nodes, dispatch_uid="workflows.nodes")
    event_recorded.connect(_event, dispatch_uid="workflows.event")
    housekeeping.connect(_housekeep, dispatch_uid="workflows.sweep")


def _nodes(nodes: Iterable[tuple[str, str, str, str]], **_: Any) -> None:
    """Write down the letters of nodes whose jobs are in another state now, and see that the engine knows of ends."""
    found: dict[str, dict[str, Letter]] = defaultdict(dict)
    for workflow_id, node, state, _job in nodes:
        found[workflow_id][node] = LETTERS[state]
    for workflow_id, letters in sorted(found.items()):
        set_letters(workflow_id, letters)
        sweeping.told(workflow_id, letters)


def set_letters(workflow_id: str, letters: dict[str, Letter], **fields: Any) -> None:
    """Change the letters of some nodes in the book; items of fan-outs have none."""
    with transaction.atomic():
        stored = StoredWorkflow.objects.select_for_update().only("letters", "counts").filter(pk=workflow_id).first()
        if stored is None:
            return
        row = list(stored.letters)
        for node, letter in letters.items():
            if node.isdecimal() and int(node) < len(row):
                row[int(node)] = str(letter)
        stored.set_letters("".join(row))
        StoredWorkflow.objects.filter(pk=workflow_id).update(letters=stored.letters, counts=stored.counts, **fields)
    _tell(workflow_id)


def _tell(workflow_id: str) -> None:
    try:
        publish(
            [(f"workflow:{workflow_id}", {"type": "changed", "seq": 0}), ("workflows", {"type": "changed", "seq": 0})]
        )
    except (redis.Error, OSError):
        return  # pages look by themselves while Redis is away


def _event(event: dict[str, Any], **_: Any) -> None:
    """Write down what the engine tells of a workflow."""
    if event.get("type") != "workflow":
        return
    workflow_id = str(event.get("workflow") or "")
    if "state" in event:
        ended(workflow_id, event)
    elif "items" in event:
        _items(workflow_id, str(event["node"]), int(event["items"]))
    elif isinstance(event.get("letters"), dict):
        letters = {str(node): Letter(letter) for node, letter in event["letters"].items()}
        set_letters(workflow_id, letters)
        _note(workflow_id, letters, event)


def _items(workflow_id: str, node: str, count: int) -> None:
    with transaction.atomic():
        stored = StoredWorkflow.objects.select_for_update().only("items").filter(pk=workflow_id).first()
        if stored is not None:
            StoredWorkflow.objects.filter(pk=workflow_id).update(items={**stored.items, node: count})


def _note(workflow_id: str, letters: dict[str, Letter], event: dict[str, Any]) -> None:
    """Remember since when a person is waited for, and why a node without a job failed."""
    waiting = {node: event.get("at") for node, letter in letters.items() if letter == Letter.APPROVAL}
    error = event.get("error")
    if not waiting and not error:
        return
    with transaction.atomic():
        stored = StoredWorkflow.objects.select_for_update().defer("graph").filter(pk=workflow_id).first()
        if stored is None:
            return
        stored.waiting_since = {**stored.waiting_since, **waiting}
        if error:
            stored.error = str(error)[:2000]
        stored.save(update_fields=["waiting_since", "error"])


def ended(workflow_id: str, event: dict[str, Any]) -> None:
    from jobs.recorder.parse import result_of_text

    state = State(event["state"])
    fields: dict[str, Any] = {"state": state, "finished_at": datetime.fromtimestamp(float(event["at"]), UTC)}
    if state == State.SUCCESS:
        fields["result"] = result_of_text(event.get("result"))
    # Of an earlier life, if it has been resumed since: that is over.
    stored = StoredWorkflow.objects.filter(pk=workflow_id, epoch=int(event.get("epoch") or 0))
    stored.exclude(state__in=FINISHED).update(**fields)
    _tell(workflow_id)


def _housekeep(**_: Any) -> None:
    sweeping.safely()
