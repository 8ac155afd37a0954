"""Writes the events of nodes' jobs, and in the same step what their end starts."""

import contextlib
import functools
import logging
import time
from typing import Any

from celery import current_app
from celery.result import AsyncResult

from jobroom import events, redis
from jobroom.arguments.redaction import seal_result
from jobroom.celery.results import seconds_kept
from jobroom.workflows.conf import settings
from jobroom.workflows.engine import added_jobs, effects, keys, scripts
from jobroom.workflows.engine.keys import NODE_STATES
from jobroom.workflows.engine.parts import parts_of, parts_of_item

logger = logging.getLogger(__name__)

HEADER = "workflow"
# Seconds for which the end of a node is reported again and again while Redis is away; then the sweeper finds it.
PATIENCE = 120.0


class NodeWriter:
    """Writes the events of one run of one node."""

    def __init__(self, request: Any, task: Any) -> None:
        self.request = request
        self.may_rerun = bool(task.acks_late)
        self.node = str(request.node)
        self.dispatch = str(getattr(request, "dispatch", None) or "")
        self.workflow = str(request.workflow)
        self.key = keys.workflow(self.workflow)

    def __call__(self, event_type: str, job: str, data: dict[str, Any]) -> tuple[bool, str | None]:
        """Write one event, as `jobroom.events.write` does."""
        data = {**data, "workflow": self.workflow, "node": self.node}
        if event_type == "started":
            return self._patiently(self._start, job, data)
        if event_type == "finished":
            return self._patiently(self._end, job, data)
        if event_type in {"retrying", "waiting"}:
            return self._patiently(self._again, job, {"type": event_type, **data})
        if event_type == "replaced":
            return self._patiently(self._replaced, job, data)
        return events.write(event_type, job, data)

    def _patiently(self, step: Any, job: str, data: dict[str, Any]) -> tuple[bool, str | None]:
        """Do a step; while Redis is away try again, as no one else knows what happened here."""
        end, pause = time.monotonic() + PATIENCE, 0.1
        while True:
            try:
                return True, step(job, data)
            except (redis.Error, OSError) as error:
                if time.monotonic() > end:
                    logger.error("Node %s of workflow %s failed to publish: %s", self.node, self.workflow, error)  # noqa: TRY400
                    return False, None
                logger.warning("Node %s of workflow %s: Redis is unavailable: %s", self.node, self.workflow, error)
                time.sleep(pause)
                pause = min(2.0, 2 * pause)

    def _start(self, job: str, data: dict[str, Any]) -> str | None:
        text = _text("started", job, data)
        answer: Any = scripts.run(
            "start", self.key, self.node, data["execution"], int(self.may_rerun), job, text, self.dispatch
        )
        return events.REPEATED if answer == "done" else answer or None

    def _again(self, job: str, data: dict[str, Any]) -> None:
        scripts.run("again", self.key, self.node, job, _text(data.pop("type"), job, data))

    def _replaced(self, job: str, data: dict[str, Any]) -> None:
        scripts.run("replaced", self.key, self.node, job, _text("replaced", job, data))

    def _end(self, job: str, data: dict[str, Any]) -> None:
        execution = self.request.execution
        node_state = NODE_STATES[data["state"]]
        whole, parts = "", []
        if node_state in keys.GOOD:
            kept = self._kept(execution.returned)
            whole = kept.pop(self.node, "")
            parts = [text for pair in kept.items() for text in pair]
            if whole and len(whole) <= settings.RESULT_LIMIT and not whole.startswith("!"):
                data["result"] = whole
        key, stored = execution.stored or ("", "")
        answer = scripts.run(
            "end",
            self.key,
            self.node,
            str(node_state),
            job,
            _text("finished", job, data),
            key,
            stored,
            _expiry(),
            whole,
            *parts,
        )
        effects.react(self.workflow, answer)

    def add_beside(self, signature: Any, *, lazy: bool) -> Any:
        """Add a job to the group that this one is a member of; return its result, or its signature if it is sent later."""
        if "." in self.node:
            raise ValueError(
                "An item of a fan-out is no member of a group. Return more items before, or replace the job."
            )
        made, answer = added_jobs.beside(self.workflow, self.node, signature, send=not lazy)
        effects.react(self.workflow, answer)
        return made if lazy else AsyncResult(str(made.id), app=current_app)

    def _kept(self, value: Any) -> dict[str, str]:
        wants: Any = getattr(self.request, "wants", None)
        is_item = "." in self.node  # its result becomes part of the list
        if not wants and not is_item:
            return {}
        with contextlib.suppress(TypeError, ValueError):  # no JSON: each part says so
            value = seal_result(value)
        if is_item:
            return parts_of_item(self.node, value, wants if isinstance(wants, list) else ())
        return parts_of(self.node, value, [()] if wants == 1 else wants)


def _text(event_type: str, job: str, data: dict[str, Any]) -> str:
    return events.to_json({"type": event_type, "job": job, "at": time.time(), **data})


@functools.cache
def _expiry() -> int:
    """Return for how many seconds Celery keeps a result."""
    return seconds_kept()


def connect() -> None:
    """Let the events of nodes be written here; twice is the same as once."""
    events.register_writer(HEADER, NodeWriter)
