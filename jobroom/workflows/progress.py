"""Reads how far a workflow has come, for its pages: few queries, whatever the number of its nodes.

All of it is from the database, as fresh as the recorder keeps it.
"""

import dataclasses
import functools
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.db.models import Count, F, Max, Min, Value
from django.db.models.functions import StrIndex, Substr
from django.utils import timezone

from jobroom.jobs.models import FINISHED, Job
from jobroom.jobs.models import State as JobState
from jobroom.jobs.querysets import JobQuerySet
from jobroom.workflows import explanations
from jobroom.workflows.current_state import node_states_now
from jobroom.workflows.engine.keys import ENDED, GOOD, WAITS_OUTSIDE, NodeState
from jobroom.workflows.explanations import LOOKS, ORDER
from jobroom.workflows.graph import Graph, Kind, Node
from jobroom.workflows.models import State, StoredWorkflow
from jobroom.workflows.picture.shapes import Drawing, draw

# Running jobs whose progress is looked at; more than any pool is likely to run of one workflow.
RUNNING = 500
# Jobs that tell how long one takes, the latest of all tasks.
LATEST = 2000
# Earlier runs of a definition whose nodes say how long these take.
RUNS = 5
# Before so much of 1 is done, the pace says little.
EARLY = 0.1
# Seconds for which the usual run times of tasks are remembered.
KEPT = 30


@functools.lru_cache(maxsize=8)
def _graph(workflow_id: str, epoch: int, total: int) -> Graph:
    return StoredWorkflow.objects.only("graph").get(pk=workflow_id, epoch=epoch, total=total).read_graph()


def graph_of(stored: StoredWorkflow) -> Graph:
    """Return the graph, to be read and not to be changed: it changes only when the workflow is resumed or a job adds a node."""
    try:
        return _graph(stored.pk, stored.epoch, stored.total)
    except StoredWorkflow.DoesNotExist:  # changed in this moment
        return stored.read_graph()


@functools.lru_cache(maxsize=32)
def _drawing(workflow_id: str, epoch: int, total: int, changed: frozenset[str]) -> Drawing:
    return draw(_graph(workflow_id, epoch, total), changed)


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
    letters: str
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
        return sum(self.letters[node.index] in ENDED for node in self.work)

    def share(self, node: Node) -> float:
        """Return how much of a node is done, 0 to 1; of a workflow that has ended, only what ended well is done."""
        letter = self.letters[node.index]
        if letter in GOOD or (letter in ENDED and not self.stored.is_finished):
            return 1.0
        if letter == NodeState.EXPANDING and node.index in self.items:
            return self.items[node.index].share
        return self.running.get(node.index, 0.0) if letter == NodeState.RUNNING else 0.0

    @functools.cached_property
    def progress(self) -> float:
        """How much is done, 0 to 1: each node by its weight, running ones by what they report."""
        weight = sum(node.weight for node in self.work)
        if not weight:
            return 1.0 if self.stored.is_finished else 0.0
        return min(1.0, sum(node.weight * self.share(node) for node in self.work) / weight)

    def counts(self, nodes: Sequence[int]) -> dict[str, int]:
        """Return how many of some nodes are in which state, by letter."""
        found: dict[str, int] = defaultdict(int)
        for index in nodes:
            found[self.letters[index]] += 1
        return dict(found)


def counts_of(stored: StoredWorkflow) -> dict[str, int]:
    """Return how many nodes are in which state, by letter, the handlers left aside; no query where there are none."""
    counts: dict[str, int] = stored.counts
    if sum(counts.values()) == stored.total:
        return counts
    handlers = graph_of(stored).handlers
    found: dict[str, int] = defaultdict(int)
    for index, letter in enumerate(stored.letters):
        if index not in handlers:
            found[letter] += 1
    return dict(found)


def now_of(stored: StoredWorkflow) -> Now:
    """Return how far the workflow has come; at most three queries."""
    graph = graph_of(stored)
    letters = node_states_now(stored).ljust(len(graph.nodes), NodeState.WAITING)
    running: dict[int, float] = {}
    started: dict[int, datetime] = {}
    if NodeState.RUNNING in letters:
        jobs = jobs_of(stored).filter(state=JobState.RUNNING).exclude(node__contains=".")
        for job in jobs.only("node", "state", "progress", "execution", "started_at")[:RUNNING]:
            index = _index(job.node, len(letters))
            if index is None:
                continue
            if job.fraction is not None:
                running[index] = min(1.0, max(0.0, job.fraction))
            if job.started_at:
                started[index] = job.started_at
    return Now(stored, graph, letters, running, started, _items(stored, letters))


def _index(node: str, count: int) -> int | None:
    return int(node) if node.isdecimal() and int(node) < count else None


def _items(stored: StoredWorkflow, letters: str) -> dict[int, Items]:
    """Return the jobs of the fan-outs; they are counted only where that is not known without."""
    totals = {int(node): int(count) for node, count in stored.items.items() if _index(node, len(letters)) is not None}
    found = {index: Items(total, total, 0) for index, total in totals.items() if letters[index] in GOOD}
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


# --- when it should end ----------------------------------------------------------------------------------------------


def typical() -> Mapping[str, float]:
    """Return how many seconds jobs of each task usually take, by the latest ones that succeeded."""

    def ask() -> dict[str, float]:
        seconds: dict[str, list[float]] = defaultdict(list)
        rows = Job.objects.filter(state=JobState.SUCCEEDED).newest_first()
        for task, start, end, answer_of in rows.values_list("task", "started_at", "finished_at", "answer_of")[:LATEST]:
            if start and end and not answer_of:
                seconds[task].append((end - start).total_seconds())
        return {task: sorted(times)[len(times) // 2] for task, times in seconds.items()}

    times: Mapping[str, float] = cache.get_or_set("jobroom.workflows.typical", ask, KEPT) or {}
    return times


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
    many as run now; or what it takes at the pace so far; whichever is longest. Where a task has never ended well the pace
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
    times, own, moment = typical(), histories(now.stored), timezone.now()
    unknown = False
    path = [0.0] * len(now.graph.nodes)
    total = longest = 0.0
    for index in _order(now.stored, now.graph):
        node, letter = now.graph.nodes[index], now.letters[index]
        if letter in ENDED or index in now.graph.handlers:
            continue
        seconds = _node_left(now, node, own.get(node.index, times.get(node.task)), moment)
        if seconds is None:
            if node.waits_outside:
                return None
            seconds, unknown = 0.0, True
        path[index] = seconds + max((path[parent] for parent, _ in node.parents), default=0.0)
        total += seconds
        longest = max(longest, path[index])
    at_work = sum(letter == NodeState.RUNNING for letter in now.letters)
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
    return _graph(workflow_id, epoch, total).order()


def _node_left(now: Now, node: Node, usual: float | None, moment: datetime) -> float | None:
    """Return the seconds that a node will still take, None when nobody knows; `usual` is what it takes as a rule."""
    if node.kind == Kind.VALUE:
        return 0.0
    if node.waits_outside:
        return None
    share, begun = now.running.get(node.index), now.started.get(node.index)
    if share is not None and share >= 0.05 and begun is not None:
        spent = (moment - begun).total_seconds()
        return max(0.0, spent / share - spent)
    if usual is None:
        return None
    if node.kind == Kind.FAN_OUT:
        items = now.items.get(node.index)
        return None if items is None else usual * (items.total - items.ended)
    return max(0.0, usual - (moment - begun).total_seconds()) if begun is not None else usual


def _rough(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# --- what an open page asks for again and again ----------------------------------------------------------------------


def states(now: Now) -> dict[str, Any]:
    """Return what an open page needs to paint the workflow again, small and without the graph."""
    stored = now.stored
    counts = now.counts([node.index for node in now.work])
    whole = sum(counts.values()) or 1
    return {
        "state": stored.state,
        "letters": now.letters,
        "items": {index: [one.total, one.ended, one.bad] for index, one in sorted(now.items.items())},
        "running": {index: round(share, 3) for index, share in sorted(now.running.items())},
        "progress": round(now.progress, 4),
        "ended": now.ended,
        "total": stored.total,
        "left": left(now),
        "words": explanations.counted(counts),
        "bar": [[LOOKS[one].css, round(counts[one] / whole, 4)] for one in ORDER if counts.get(one)],
        "finished": stored.is_finished,
        "head": head_of(now),
    }


def head_of(now: Now) -> str:
    """Return a text that changes when the upper part of the page has to be fetched again."""
    stored = now.stored
    waiting = [index for index, letter in enumerate(now.letters) if letter in WAITS_OUTSIDE]
    bad = sum(letter in ENDED - GOOD for letter in now.letters)
    parts = [
        stored.state,
        stored.epoch,
        str(stored.cancel_at),
        stored.error,
        waiting,
        sorted(stored.decisions),
        bool(bad),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
