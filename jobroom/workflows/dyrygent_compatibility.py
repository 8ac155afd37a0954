"""The rest of celery-dyrygent's interface for compatibility: ticks, skipped tasks, helpers of tests."""

import random
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.graph import When
from jobroom.workflows.signals import tick_asked

if TYPE_CHECKING:
    from jobroom.workflows.nodes import WorkflowNode

STATS = {"ticks": 0, "last_apply_async_tick": 0, "consecutive_celery_error_ticks": 0}
# Why a workflow cannot be sent or looked after.
NOT_READY = (
    "Workflows are kept in the database, which is not ready here. Call `django.setup()` first, and name `jobroom.workflows` "
    "in INSTALLED_APPS."
)
# Seconds until the next tick after one that has sent something, at most.
ACTIVE_TICK = 2


class WorkflowState:
    """The states of a workflow."""

    INITIAL = "INITIAL"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"


class Ticks:
    """Part of `Workflow`. Nothing has to tick here; who calls `tick` looks after this one workflow at once."""

    id: Any
    state: str
    nodes: "dict[str, WorkflowNode]"
    finished: dict[str, bool]
    running: dict[str, Any]
    retry_policy: list[Any]
    max_processing_time: float
    processing_limit_ts: int | None
    stats: dict[str, int]
    _active_tick: bool

    def set_max_processing_time(self, seconds: float) -> None:
        """Give the workflow up after so many seconds."""
        self.max_processing_time = seconds
        self.processing_limit_ts = None

    def evaluate_processing_limit(self) -> None:
        """Set the moment, in whole seconds since 1970, at which the workflow is given up."""
        self.processing_limit_ts = int(time.time() + self.max_processing_time)

    def check_processing_time(self) -> None:
        """Raise WorkflowException when the time is over."""
        if self.processing_limit_ts is not None and time.time() > self.processing_limit_ts:
            raise WorkflowException("The workflow was processed for too long.")

    def set_retry_policy(self, retry_type: str, *retry_args: Any) -> None:
        """Take the policy of celery-dyrygent's ticks; nothing ticks here, so only `get_retry_countdown` heeds it."""
        if retry_type != "random":
            raise WorkflowException(f"The only retry policy is 'random', not {retry_type!r}.")
        self.retry_policy = [retry_type, *retry_args]

    def get_retry_countdown(self) -> int:
        """Return the seconds until celery-dyrygent would tick again."""
        _, least, most = self.retry_policy
        if not 0 < least <= most:
            raise WorkflowException(f"A retry policy needs 0 < least <= most, not {least} and {most}.")
        countdown = random.randint(least, most)  # noqa: S311 — nothing secret
        return min(countdown, ACTIVE_TICK) if self._active_tick else countdown

    def set_state(self, state: str) -> None:
        """Set the state, and emit `on_state_change` if it is another; what runs is not changed by it."""
        if state != self.state:
            self.state = state
            self.emit("on_state_change", state)  # type: ignore[attr-defined]

    def is_success(self) -> bool:
        """Return whether every node has finished well, as far as this object knows; `tick` brings it up to date."""
        return self.nodes.keys() == self.finished.keys() and all(self.finished.values())

    def tick(self) -> bool:
        """Look after the workflow once, as the sweeper does, and learn how far it is; return whether it goes on.

        `state`, `running`, `finished` and `stats` are those of the database and Redis afterwards. Raises WorkflowException
        for one that was not sent.
        """
        answers = tick_asked.send(sender=Ticks, workflow=self)
        if not answers:
            raise WorkflowException(NOT_READY)
        self.stats["ticks"] += 1
        return any(running for _, running in answers)

    def iterate_dependencies(self) -> "Iterator[tuple[WorkflowNode, WorkflowNode | None]]":
        """Yield each node with each of those it waits for, in the order of their ids; with None if there is none."""
        for _, node in sorted(self.nodes.items()):
            for parent in sorted(node.dependencies):
                yield node, self.nodes[parent]
            if not node.dependencies:
                yield node, None

    def get_unlocked_dependencies(self) -> set[str]:
        """Return the ids of the nodes that have finished well."""
        return {node_id for node_id, well in self.finished.items() if well}

    def get_signatures_to_run(self) -> "list[WorkflowNode]":
        """Return the nodes that could run now, by `finished` and the conditions of what they wait for."""
        waiting = [n for i, n in self.nodes.items() if i not in self.running and i not in self.finished]
        return [node for node in waiting if self._may_run(node)]

    def _may_run(self, node: "WorkflowNode") -> bool:
        nodes = node.workflow.graph.nodes
        true = [_comes_true(self.finished.get(nodes[parent].id), when) for parent, when in node.node.parents]
        return any(true) if node.node.join == "any" and true else all(true)

    def simulate_tick(self) -> bool:
        """Count what ran as done and let run what is ready; return whether anything runs."""
        self.finished |= dict.fromkeys(self.running, True)
        self.running = {node.id: True for node in self.get_signatures_to_run()}
        return bool(self.running)

    def skip_tasks(self, task_ids: Sequence[str]) -> None:
        """Count nodes as done, without a result; all that they wait for must be among them."""
        unknown = set(task_ids) - self.nodes.keys()
        if unknown:
            raise WorkflowException(f"There are no nodes with the ids {', '.join(sorted(unknown))}.")
        for node_id in task_ids:
            if missing := self.nodes[node_id].dependencies.keys() - set(task_ids):
                names = ", ".join(sorted(self.nodes[i].node.key for i in missing))
                raise WorkflowException(f"“{self.nodes[node_id].node.key}” cannot be skipped without {names}.")
        self.finished |= dict.fromkeys(task_ids, True)


def _comes_true(well: bool | None, when: When) -> bool:
    return well is not None and (when == When.ALWAYS or (when != When.TIMEOUT and well == (when == When.SUCCESS)))
