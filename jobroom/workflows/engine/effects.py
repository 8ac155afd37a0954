"""Does what a step in Redis leaves to its caller: messages for other brokers, fan-outs, errbacks, signals.

Everything here may be done twice, and is done by the sweeper where the caller was killed before it came to it.
"""

import json
import logging
from typing import Any

from celery import current_app
from celery.exceptions import ChordError
from kombu.utils.json import loads

from jobroom import redis
from jobroom.celery import traces
from jobroom.workflows import exports
from jobroom.workflows.conf import settings
from jobroom.workflows.engine import keys, scripts
from jobroom.workflows.engine.keys import NodeState
from jobroom.workflows.hooks import Hooks

logger = logging.getLogger(__name__)

# Items of a fan-out that one step sends.
CHUNK = 500


def react(workflow_id: str, answer: Any) -> None:
    """Do what the answer of a script asks for."""
    finished, unsent, expand, failing, sent = answer
    for node in unsent or ():
        send(workflow_id, _text(node))
    for guard in failing or ():
        call_errbacks(workflow_id, _text(guard))
    for index in expand or ():
        expand_fan_out(workflow_id, _text(index))
    if finished:
        publish_state(workflow_id, _text(finished), ended=True)
    elif sent and Hooks.has_receivers("after_active_tick"):
        _publish_sent(workflow_id)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def record(workflow_id: str, node: str) -> dict[str, Any] | None:
    """Return the record of a node, or of the fan-out that an item belongs to; None if the workflow is gone."""
    text: Any = redis.client().hget(keys.workflow(workflow_id, "g"), node.partition(".")[0])
    return json.loads(text) if text else None


def send(workflow_id: str, node: str) -> None:
    """Send the message of a node by Celery, because the broker is not the Redis that the scripts write to."""
    found = record(workflow_id, node)
    if found is None:
        return
    item = redis.client().hget(keys.workflow(workflow_id, "r"), f"i{node}")
    args, kwargs, embed = loads(_filled(workflow_id, found["b"], item))
    head = json.loads("{" + found["h"] + "}")
    common = json.loads("{" + str(redis.client().hget(keys.workflow(workflow_id), "common")) + "}")
    _, _, number = node.partition(".")
    limits = head.pop("timelimit", None) or [None, None]
    with traces.continued(common.get(traces.HEADER)):
        current_app.send_task(
            head.pop("task"),
            args,
            kwargs,
            task_id=found["i"] + (f".{number}" if number else ""),
            queue=found["n"],
            priority=found["p"],
            time_limit=limits[0],
            soft_time_limit=limits[1],
            link=embed.get("callbacks"),
            link_error=embed.get("errbacks"),
            root_id=common.get("root_id"),
            ignore_result=head.pop("ignore_result", False),
            countdown=found.get("z"),
            eta=head.pop("eta", None),
            expires=head.pop("expires", found.get("v")),
            headers={
                **{k: v for k, v in head.items() if k not in {"retries", "shadow"}},
                "workflow": workflow_id,
                "node": node,
            },
        )
    redis.client().srem(keys.workflow(workflow_id, "o"), node)


def _filled(workflow_id: str, parts: list[str], item: Any) -> str:
    """Return the text with the results put in, as the scripts do."""
    names = [part for at, part in enumerate(parts) if at % 2 and part != "$item"]
    texts: Any = redis.client().hmget(keys.workflow(workflow_id, "r"), names) if names else []
    found = dict(zip(names, texts, strict=True)) | {"$item": item}
    return "".join(str(found[part]) if at % 2 else part for at, part in enumerate(parts))


def expand_fan_out(workflow_id: str, index: str) -> None:
    """Send the jobs of a fan-out: one for each item of its list. What was sent before is not sent again."""
    found = record(workflow_id, index)
    if found is None:
        return
    text: Any = redis.client().hget(keys.workflow(workflow_id, "r"), found["o"])
    reason = _reason_against(text)
    if reason:
        fail(workflow_id, index, reason)
        return
    items = [json.dumps(item, separators=(",", ":")) for item in json.loads(text)]
    for start in range(0, max(1, len(items)), CHUNK):
        chunk = items[start : start + CHUNK]
        react(workflow_id, scripts.run("expand", keys.workflow(workflow_id), index, len(items), start, *chunk))


def _reason_against(text: str | None) -> str:
    if text is None:
        return "The list that it runs over is not there."
    if text.startswith("!"):
        return text[1:]
    value = json.loads(text)
    if not isinstance(value, list):
        return f"It runs over a list, but the result is {type(value).__name__} {str(value)[:60]!r}."
    if len(value) > settings.MAX_ITEMS:
        return f"The list has {len(value)} items; at most {settings.MAX_ITEMS} are allowed (WORKFLOWS_MAX_ITEMS)."
    return ""


def fail(workflow_id: str, node: str, reason: str, node_state: NodeState = NodeState.FAILED) -> None:
    """End a node that has no job: it cannot be run, for this reason."""
    event: dict[str, Any] = {"type": "workflow", "job": None, "at": redis.now(), "workflow": workflow_id, "node": node}
    event |= {"node_states": {node: str(node_state)}, "error": reason}
    react(workflow_id, scripts.run("fail", keys.workflow(workflow_id), node, str(node_state), json.dumps(event)))


def call_errbacks(workflow_id: str, guard: str) -> None:
    """Call the errbacks of a chord's body whose header failed, as Celery does; `guard` is `index/number`."""
    index, _, number = guard.partition("/")
    found = record(workflow_id, index)
    if found is None:
        return
    request = _Blocked(found["i"], found["f"][int(number or 0)], workflow_id)
    try:
        backend: Any = current_app.backend
        backend._call_task_errbacks(request, ChordError("A node that it waited for failed."), None)
    except Exception:  # the boundary: an errback that cannot be called must not stop the others
        logger.exception("The errbacks of node %s of workflow %s could not be called", index, workflow_id)


class _Blocked:
    """Stands for the request of a node that never ran."""

    def __init__(self, job: str, errbacks: list[Any], root: str) -> None:
        self.id, self.errbacks, self.root_id = job, errbacks, root
        self.delivery_info: dict[str, Any] = {}
        self.stamps = self.stamped_headers = None


def publish_state(workflow_id: str, state: str, *, ended: bool = False) -> None:
    """Emit the signals of a workflow that is in another state, to those who are connected in this process."""
    if not (Hooks.has_receivers("on_state_change") or (ended and Hooks.has_receivers("on_finish"))):
        return
    workflow = exports.as_written(workflow_id)
    if workflow is not None:
        workflow.state = state
        if ended:
            workflow.emit("on_finish")
        workflow.emit("on_state_change", state)


def _publish_sent(workflow_id: str) -> None:
    """Emit that nodes were sent, and that the workflow goes on."""
    workflow = exports.as_written(workflow_id)
    if workflow is not None:
        workflow.emit("after_active_tick")
