"""Computes the progress of a workflow for its pages, with few queries for any number of nodes.

All of it is from the database, as fresh as the recorder keeps it.
"""

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Max, Min, Value
from django.db.models.functions import StrIndex, Substr

from jobroom.jobs.models import FINISHED, Job
from jobroom.jobs.models import State as JobState
from jobroom.jobs.querysets import JobQuerySet
from jobroom.workflows.current_state import node_states_now
from jobroom.workflows.engine.keys import ENDED, GOOD, NodeState
from jobroom.workflows.graph import Graph, Node
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.picture.shapes import Drawing, draw

# Running jobs whose progress is looked at; more than any pool is likely to run of one workflow.
RUNNING = 500


@functools.lru_cache(maxsize=8)
def kept_graph(workflow_id: str, epoch: int, total: int) -> Graph:
    return StoredWorkflow.objects.only("graph").get(pk=workflow_id, epoch=epoch, total=total).read_graph()


def graph_of(stored: StoredWorkflow) -> Graph:
    """Return the graph, to be read and not to be changed: it changes only when the workflow is resumed or a job adds a node."""
    try:
        return kept_graph(stored.pk, stored.epoch, stored.total)
    except StoredWorkflow.DoesNotExist:  # changed in this moment
        return stored.read_graph()


@functools.lru_cache(maxsize=32)
def _drawing(workflow_id: str, epoch: int, total: int, changed: frozenset[str]) -> Drawing:
    return draw(kept_graph(workflow_id, epoch, total), changed)


def drawing_of(stored: StoredWorkflow, changed: frozenset[str]) -> Drawing:
    """Return the picture of the graph, with the boxes `changed` opened or shut other than they are at first."""
    try:
        return _drawing(stored.pk, stored.epoch, stored.total, changed)
    except StoredWorkflow.DoesNotExist:
        return draw(graph_of(stored), changed)


def node_called(graph: Graph, key: str) -> Node | None:
    """Return the node of that key."""
    return next((node for node in graph.nodes if node.key == key), None)


def jobs_of(stored: StoredWorkflow) -> JobQuerySet:
    """Return the jobs of all nodes."""
    return Job.objects.filter(workflow_id=stored.pk).exclude(workflow_id="")  # the second is what the index says


def job_of(stored: StoredWorkflow, node: Node) -> Job | None:
    """Return the job of a node, None as long as it was not sent."""
    return jobs_of(stored).filter(node=str(node.index)).first()


@dataclasses.dataclass(frozen=True, slots=True)
class Items:
    """The jobs of one fan-out."""

    total: int
    ended: int
    bad: int

    @property
    def share(self) -> float:
        """How many of them have ended, of 1."""
        return self.ended / self.total if self.total else 1.0


@dataclasses.dataclass
class Now:
    """How far a workflow has come."""

    stored: StoredWorkflow
    graph: Graph
    node_states: str
    running: dict[int, float]  # share of 1 that running nodes report; those that report nothing are not in it
    started: dict[int, datetime]  # of running nodes
    items: dict[int, Items]

    @functools.cached_property
    def work(self) -> list[Node]:
        """The nodes that count: all but the handlers."""
        handlers = self.graph.handlers
        return [node for node in self.graph.nodes if node.index not in handlers]

    @functools.cached_property
    def ended(self) -> int:
        """How many nodes have ended."""
        return sum(self.node_states[node.index] in ENDED for node in self.work)

    def share(self, node: Node) -> float:
        """Return how much of a node is done, 0 to 1; of a workflow that has ended, only what succeeded is done."""
        node_state = self.node_states[node.index]
        if node_state in GOOD or (node_state in ENDED and not self.stored.is_finished):
            return 1.0
        if node_state == NodeState.EXPANDING and node.index in self.items:
            return self.items[node.index].share
        return self.running.get(node.index, 0.0) if node_state == NodeState.RUNNING else 0.0

    @functools.cached_property
    def progress(self) -> float:
        """How much is done, 0 to 1: each node by its weight, running ones by what they report."""
        weight = sum(node.weight for node in self.work)
        if not weight:
            return 1.0 if self.stored.is_finished else 0.0
        return min(1.0, sum(node.weight * self.share(node) for node in self.work) / weight)

    def counts(self, nodes: Sequence[int]) -> dict[str, int]:
        """Return how many of some nodes are in which state."""
        found: dict[str, int] = defaultdict(int)
        for index in nodes:
            found[self.node_states[index]] += 1
        return dict(found)


def counts_of(stored: StoredWorkflow) -> dict[str, int]:
    """Return how many nodes are in which state, the handlers left aside; no query where there are none."""
    counts: dict[str, int] = stored.counts
    if sum(counts.values()) == stored.total:
        return counts
    handlers = graph_of(stored).handlers
    found: dict[str, int] = defaultdict(int)
    for index, node_state in enumerate(stored.node_states):
        if index not in handlers:
            found[node_state] += 1
    return dict(found)


def now_of(stored: StoredWorkflow) -> Now:
    """Return how far the workflow has come; at most three queries."""
    graph = graph_of(stored)
    node_states = node_states_now(stored).ljust(len(graph.nodes), NodeState.WAITING)
    running: dict[int, float] = {}
    started: dict[int, datetime] = {}
    if NodeState.RUNNING in node_states:
        jobs = jobs_of(stored).filter(state=JobState.RUNNING).exclude(node__contains=".")
        for job in jobs.only("node", "state", "progress", "execution", "started_at")[:RUNNING]:
            index = _index(job.node, len(node_states))
            if index is None:
                continue
            if job.fraction is not None:
                running[index] = min(1.0, max(0.0, job.fraction))
            if job.started_at:
                started[index] = job.started_at
    return Now(stored, graph, node_states, running, started, _items(stored, node_states))


def _index(node: str, count: int) -> int | None:
    return int(node) if node.isdecimal() and int(node) < count else None


def _items(stored: StoredWorkflow, node_states: str) -> dict[int, Items]:
    """Return the jobs of the fan-outs; they are counted only where that is not known without."""
    totals = {
        int(node): int(count) for node, count in stored.items.items() if _index(node, len(node_states)) is not None
    }
    found = {index: Items(total, total, 0) for index, total in totals.items() if node_states[index] in GOOD}
    unknown = totals.keys() - found.keys()
    if unknown:
        ended, bad = _counted(stored)
        found |= {index: Items(totals[index], ended.get(index, 0), bad.get(index, 0)) for index in unknown}
    return found


def _counted(stored: StoredWorkflow) -> tuple[dict[int, int], dict[int, int]]:
    """Return for each fan-out how many of its jobs have ended, and how many of them badly; one query."""
    ended: dict[int, int] = defaultdict(int)
    bad: dict[int, int] = defaultdict(int)
    rows = _by_fan_out(stored).values("fan_out", "state").annotate(number=Count("pk"))
    for row in rows.values_list("fan_out", "state", "number"):
        state, number = JobState(row[1]), int(row[2])
        if not str(row[0]).isdecimal() or state not in FINISHED:
            continue
        ended[int(row[0])] += number
        if state not in {JobState.SUCCEEDED, JobState.SKIPPED}:
            bad[int(row[0])] += number
    return ended, bad


def _by_fan_out(stored: StoredWorkflow) -> Any:
    head = Substr("node", 1, StrIndex(F("node"), Value(".")) - 1)
    return jobs_of(stored).filter(node__contains=".").order_by().annotate(fan_out=head)


@dataclasses.dataclass(slots=True)
class Span:
    """When a node waited for a worker, and when it ran."""

    index: int
    state: str
    queued: datetime | None
    started: datetime | None
    finished: datetime | None


def spans(stored: StoredWorkflow, count: int) -> dict[int, Span]:
    """Return the times of all nodes that were sent; of a fan-out, those of its jobs together. Two queries."""
    found: dict[int, Span] = {}
    columns = ("node", "state", "queued_at", "created_at", "started_at", "finished_at")
    for node, state, queued, created, started, finished in (
        jobs_of(stored).exclude(node__contains=".").order_by().values_list(*columns)
    ):
        index = _index(node, count)
        if index is not None:
            found[index] = Span(index, state, queued or created, started, finished)
    if stored.items:
        rows = _by_fan_out(stored).values("fan_out")
        rows = rows.annotate(a=Min("created_at"), b=Min("started_at"), c=Max("finished_at"))
        for node, queued, started, finished in rows.values_list("fan_out", "a", "b", "c"):
            index = _index(str(node), count)
            if index is not None:
                found[index] = Span(index, "", queued, started, finished)
    return found
