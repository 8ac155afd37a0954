"""Completes nodes without a job: by a person's decision, an event from outside, or a timeout.

A node is answered once: the script in which it ends refuses a second answer, no matter which is faster.
"""

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from jobroom import redis
from jobroom.arguments.redaction import seal_leaves
from jobroom.users import User
from jobroom.workflows import admission, policies
from jobroom.workflows.conf import settings
from jobroom.workflows.engine import effects, keys, scripts
from jobroom.workflows.engine.keys import NodeState
from jobroom.workflows.engine.parts import parts_of
from jobroom.workflows.engine.records import wanted
from jobroom.workflows.exceptions import EngineUnavailable, NotAllowed, NotNow
from jobroom.workflows.graph import Kind, Node
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.services import TIMEOUT, audit

# Who delivers by a signed link: all that is known of them.
LINK = "the holder of a link"


def decide(stored: StoredWorkflow, node: Node, *, approve: bool, by: User | None, comment: str = "") -> None:
    """Decide an approval that is waited for. Raises NotAllowed and NotNow."""
    if by is not None and not policies.may_decide(by, stored, node):
        raise NotAllowed("Only staff and the groups that the node names may decide this.")
    if node.kind != Kind.APPROVAL:
        raise NotNow(f"“{node.key}” is no approval.")
    who = by.get_username() if by is not None else TIMEOUT
    decision = {"approved": approve, "by": who, "comment": comment, "at": timezone.now().isoformat()}
    _end(stored, node, NodeState.SUCCEEDED if approve else NodeState.FAILED, decision, decision)
    audit(stored, by, "approved in" if approve else "rejected in", reason=comment, outcome=f"Node {node.key}.")


def deliver(stored: StoredWorkflow, node: Node, data: Any, *, by: User | None, who: str = "") -> None:
    """Deliver the event that a node waits for; `data` is JSON that those who come after may use.

    `who` says who it is where that is no user. Raises NotAllowed, NotNow, and WrongFields for data that `by` may not give
    to the nodes that use it.
    """
    if by is not None and not policies.may_act(by, stored):
        raise NotAllowed("Only its owner and staff may do that with this workflow.")
    result = _result_of(stored, node, data, by, who)
    _end(stored, node, NodeState.SUCCEEDED, result, _as_decision(result))
    audit(stored, by, "delivered to", result["by"], outcome=f"Node {node.key}.")


def deliver_by_link(stored: StoredWorkflow, node: Node, link: str) -> None:
    """Deliver an event without data in the name of the holder of the link of that number, which is good for once."""
    result = _result_of(stored, node, None, None, LINK)
    _end(stored, node, NodeState.SUCCEEDED, result, _as_decision(result), link)
    audit(stored, None, "delivered to", LINK, outcome=f"Node {node.key}.")


def _result_of(stored: StoredWorkflow, node: Node, data: Any, by: User | None, who: str) -> dict[str, Any]:
    if node.kind != Kind.EVENT:
        raise NotNow(f"“{node.key}” waits for no event.")
    if len(json.dumps(data)) > settings.RESULT_LIMIT:
        raise NotNow(f"What is delivered has more than {settings.RESULT_LIMIT:,} characters of JSON.")
    result = {"by": by.get_username() if by is not None else who or "the machine", "data": data}
    admission.check_graph(stored.read_graph(), by, fresh=(), done={node.index: result})
    return {**result, "data": seal_leaves(data)}


def _as_decision(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the database keeps: the node is done, also where Redis forgets it."""
    return {"done": True, "by": result["by"], "at": timezone.now().isoformat(), "result": result}


def overdue(stored: StoredWorkflow, node: Node) -> bool:
    """End a node that has waited too long as it says; return whether it was."""
    timeout = node.options.get("timeout")
    since: Any = redis.client().hget(keys.workflow(stored.pk, "x"), f"a{node.index}")
    if timeout is None or since is None or redis.now() < float(since) + float(timeout):
        return False
    try:
        if node.kind == Kind.EVENT:
            late = {"timed_out": True, "by": TIMEOUT, "at": timezone.now().isoformat()}
            _end(stored, node, NodeState.TIMED_OUT, late, late)
        else:
            approve = node.options.get("on_timeout") == "approve"
            decide(stored, node, approve=approve, by=None, comment="No one decided in time.")
    except NotNow:
        return False
    return True


def _end(
    stored: StoredWorkflow, node: Node, node_state: NodeState, result: Any, decision: dict[str, Any], link: str = ""
) -> None:
    """End the node in the engine and write down why, in one transaction: what the engine refuses is not kept."""
    name = str(node.index)
    paths = [path for path in wanted(stored.read_graph()).get(node.index, []) if path]
    flat = [text for pair in parts_of(name, result, paths).items() for text in pair]
    with transaction.atomic():
        row = StoredWorkflow.objects.select_for_update().defer("graph").get(pk=stored.pk)
        used = row.options.get("links", [])
        if link and link in used:
            raise NotNow("This link has been used already.")
        answer = _in_engine(stored, name, node_state, result, flat)
        row.decisions = {**row.decisions, name: decision}
        if link:
            row.options = {**row.options, "links": [*used, link]}
        row.save(update_fields=["decisions", "options"])
    effects.react(stored.pk, answer)


def _in_engine(stored: StoredWorkflow, name: str, node_state: NodeState, result: Any, parts: list[str]) -> Any:
    try:
        answer = scripts.run("decide", keys.workflow(stored.pk), name, str(node_state), json.dumps(result), *parts)
    except (redis.Error, OSError) as error:
        raise EngineUnavailable from error
    if not answer:
        raise NotNow("No one waits for this: it is answered already, or not asked for yet.")
    return answer
