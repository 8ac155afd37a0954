"""When a running workflow should end: by the earlier durations of its tasks, and by its own pace."""

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.core.cache import cache
from django.utils import timezone

from jobroom.jobs import estimates
from jobroom.jobs.models import Job
from jobroom.jobs.models import State as JobState
from jobroom.workflows.engine.keys import ENDED, NodeState
from jobroom.workflows.graph import Graph, Kind, Node
from jobroom.workflows.models import State, StoredWorkflow
from jobroom.workflows.progress import Now, kept_graph

# Earlier runs of a definition whose nodes say how long these take.
RUNS = 5


# Before so much of 1 is done, the pace says little.
EARLY = 0.1


# Seconds for which the usual run times of nodes are remembered.
KEPT = 30


def histories(stored: StoredWorkflow) -> Mapping[int, float]:
    """Return how many seconds each node usually takes, by index: of the latest runs of the same version of a definition."""
    if stored.definition_id is None:
        return {}

    def ask() -> dict[int, float]:
        same = StoredWorkflow.objects.filter(definition=stored.definition_id, state=State.SUCCESS)
        ids = list(same.newest_first().values_list("pk", flat=True)[:RUNS])
        rows = Job.objects.filter(workflow_id__in=ids, state=JobState.SUCCEEDED).exclude(node__contains=".")
        seconds: dict[int, list[float]] = defaultdict(list)
        for node, start, end in rows.values_list("node", "started_at", "finished_at"):
            if start and end and node.isdecimal():
                seconds[int(node)].append((end - start).total_seconds())
        return {index: sorted(times)[len(times) // 2] for index, times in seconds.items()}

    found: Mapping[int, float] = (
        cache.get_or_set(f"jobroom.workflows.histories.{stored.definition_id}", ask, KEPT) or {}
    )
    return found


def left(now: Now) -> str:
    """Return in words how long it should still take; empty when it has ended.

    The longest path through what is left, each node by what its task usually takes; or all that is left shared among as
    many as run now; or what it takes at the pace so far; whichever is longest. Where a task has never succeeded the pace
    alone decides, and before there is one the end is unknown, as it is where a person decides.
    """
    if now.stored.is_finished:
        return ""
    if now.stored.state == State.PAUSED:
        return "paused"
    seconds = _seconds_left(now)
    if seconds is None:
        return "end unknown"
    return "should end any moment" if seconds < 1 else f"about {_rough(seconds)} left"


def _seconds_left(now: Now) -> float | None:
    times = estimates.typical({node.task for node in now.graph.nodes if node.task})
    own, moment = histories(now.stored), timezone.now()
    unknown = False
    path = [0.0] * len(now.graph.nodes)
    total = longest = 0.0
    for index in _order(now.stored, now.graph):
        node, node_state = now.graph.nodes[index], now.node_states[index]
        if node_state in ENDED or index in now.graph.handlers:
            continue
        seconds = _node_left(now, node, own.get(node.index, times.get(node.task)), moment)
        if seconds is None:
            if node.waits_outside:
                return None
            seconds, unknown = 0.0, True
        path[index] = seconds + max((path[parent] for parent, _ in node.parents), default=0.0)
        total += seconds
        longest = max(longest, path[index])
    at_work = sum(node_state == NodeState.RUNNING for node_state in now.node_states)
    pace = _by_pace(now, moment)
    return None if unknown and not pace else max(longest, total / at_work if at_work else 0.0, pace)


def _by_pace(now: Now, moment: datetime) -> float:
    """Return the seconds that what is left takes at the pace so far; 0 where the pace says little."""
    stored = now.stored
    asks = any(node.waits_outside for node in now.graph.nodes)
    if stored.started_at is None or stored.epoch > 1 or asks or now.progress < EARLY:
        return 0.0
    spent = (moment - stored.started_at).total_seconds()
    return spent / now.progress - spent


def _order(stored: StoredWorkflow, graph: Graph) -> Sequence[int]:
    try:
        return _kept_order(stored.pk, stored.epoch, stored.total)
    except StoredWorkflow.DoesNotExist:
        return graph.order()


@functools.lru_cache(maxsize=8)
def _kept_order(workflow_id: str, epoch: int, total: int) -> list[int]:
    return kept_graph(workflow_id, epoch, total).order()


def _node_left(now: Now, node: Node, usual: float | None, moment: datetime) -> float | None:
    """Return the seconds that a node will still take, None when that is unknown; `usual` is what it takes as a rule."""
    if node.kind == Kind.VALUE:
        return 0.0
    if node.waits_outside:
        return None
    share, started = now.running.get(node.index), now.started.get(node.index)
    if share is not None and share >= 0.05 and started is not None:
        spent = (moment - started).total_seconds()
        return max(0.0, spent / share - spent)
    if usual is None:
        return None
    if node.kind == Kind.FAN_OUT:
        items = now.items.get(node.index)
        return None if items is None else usual * (items.total - items.ended)
    return max(0.0, usual - (moment - started).total_seconds()) if started is not None else usual


def _rough(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
