"""Loads a workflow from the database into Redis: when it is started, resumed, or missing there."""

import contextlib
import dataclasses
import json
import secrets
from collections.abc import Mapping
from typing import Any

from celery import current_app
from kombu.transport.redis import Channel
from kombu.utils.encoding import bytes_to_str

from jobroom import redis
from jobroom.celery import traces
from jobroom.celery.results import ResultBackend, seconds_kept
from jobroom.conf import settings
from jobroom.jobs.models import Job
from jobroom.leases import turn
from jobroom.workflows.engine import effects, keys, scripts
from jobroom.workflows.engine.keys import BAD, ENDED, GOOD, NODE_STATES, WAITS_OUTSIDE, NodeState, comes_true
from jobroom.workflows.engine.parts import parts_of, parts_of_item
from jobroom.workflows.engine.records import Lists, records, segments, wanted
from jobroom.workflows.graph import Graph, Kind, When
from jobroom.workflows.models import StoredWorkflow

# Fields that one command is given at once.
CHUNK = 500
# Seconds after which another process may load a workflow whose loader was killed.
LOCKED = 30.0
# Seconds for which Redis keeps what a loader has written and, as it was killed, not put into its place.
ABANDONED = 600


@dataclasses.dataclass(slots=True)
class Snapshot:
    """How far a workflow has come, as the database knows it."""

    node_states: dict[str, NodeState] = dataclasses.field(default_factory=dict)  # of nodes and of items, by name
    results: dict[str, Any] = dataclasses.field(default_factory=dict)  # of nodes and items that succeeded
    items: dict[str, int] = dataclasses.field(default_factory=dict)  # of each fan-out that has started
    since: dict[str, float] = dataclasses.field(default_factory=dict)  # of each node that waits for the outside


def lists() -> Lists | None:
    """Return how the broker names its lists; None where messages must be sent by Celery."""
    options: Mapping[str, Any] = current_app.conf.broker_transport_options or {}
    if current_app.conf.broker_url != settings.REDIS_URL or options.get("global_keyprefix"):
        return None
    return Lists(
        sep=str(options.get("sep") or Channel.sep), steps=tuple(options.get("priority_steps") or Channel.priority_steps)
    )


def load(stored: StoredWorkflow, graph: Graph, snapshot: Snapshot | None = None, *, missing: bool = False) -> bool:
    """Put the workflow into Redis and begin what is ready; return False if someone else does that now, or has done it.

    What is there of an earlier life is replaced, and with `missing` not even that. Raises redis errors.
    """
    with _alone(stored.pk) as mine:
        if not mine:
            return False
        plan = Plan(graph, snapshot or Snapshot(), cancelled=stored.cancel_at is not None)
        # Beside what is there: this process may stand still for longer than its turn lasts, and another one be quicker.
        token = secrets.token_hex(8)
        _write(stored, graph, plan, token)
        answer = scripts.run(
            "begin",
            *(keys.workflow(stored.pk), token, stored.epoch, int(missing), _due(stored)),
            *(int(bool(stored.options.get("external"))), json.dumps(_limited(graph))),
            *(json.dumps(_news(stored, plan)), *plan.ready),
        )
        if answer is None:
            return False
        effects.react(stored.pk, answer)
        for name in plan.expanding():
            effects.expand_fan_out(stored.pk, name)  # the jobs that it lacks
        return True


def _due(stored: StoredWorkflow) -> float | str:
    return "" if stored.deadline_at is None else stored.deadline_at.timestamp()


def _limited(graph: Graph) -> list[int]:
    return [node.index for node in graph.nodes if node.options.get("limit")]


def _news(stored: StoredWorkflow, plan: "Plan") -> dict[str, str]:
    """Return the nodes that have ended by what follows from others, for the database: before anything else is reported."""
    found = {
        name: node_state for name, node_state in plan.node_states.items() if node_state in ENDED and "." not in name
    }
    return {name: node_state for name, node_state in found.items() if stored.node_states[int(name)] != node_state}


def _alone(workflow_id: str) -> contextlib.AbstractContextManager[bool]:
    return turn(redis.client(), keys.workflow(workflow_id, "l"), LOCKED)


def _write(stored: StoredWorkflow, graph: Graph, plan: "Plan", token: str) -> None:
    parts: dict[str, dict[Any, Any]] = {
        "m": _meta(stored, graph, plan),
        "g": dict(enumerate(records(graph, lists()))),
        "s": plan.node_states,
        "w": plan.counts,
        "x": plan.extras,
        "r": plan.results,
    }
    with redis.client().pipeline(transaction=False) as pipe:
        for part, fields in parts.items():
            name, rows = keys.workflow(stored.pk, f"{token}:{part}"), list(fields.items())
            for start in range(0, len(rows), CHUNK):
                pipe.hset(name, items=[v for row in rows[start : start + CHUNK] for v in row])
            if rows:
                pipe.expire(name, ABANDONED)
        pipe.execute()


def _meta(stored: StoredWorkflow, graph: Graph, plan: "Plan") -> dict[str, Any]:
    backend: Any = current_app.backend
    ours = isinstance(backend, ResultBackend)
    return {
        "state": "RUNNING",
        "total": len(graph.nodes) - len(graph.handlers),
        "left": plan.left,
        "failed": plan.failed,
        "paused": int(stored.state == "PAUSED" and stored.cancel_at is None),
        "cancelled": int(stored.cancel_at is not None),
        **asked(stored),
        "common": json.dumps(_common(stored))[1:-1],
        "owner": json.dumps(stored.owner_id),
        "handler": "" if graph.on_failure is None else graph.on_failure,
        "finalizer": "" if graph.finalizer is None else graph.finalizer,
        "lenient": int(graph.lenient),
        "epoch": stored.epoch,
        "result": json.dumps(segments(graph.result)),
        "resultkey": bytes_to_str(backend.get_key_for_task(stored.pk)) if ours else "",
        "resultttl": seconds_kept(),
    }


def _common(stored: StoredWorkflow) -> dict[str, Any]:
    """Return the headers that the messages of all nodes have; one trace holds them all."""
    headers = {"root_id": stored.pk, "parent_id": None, "origin": "workflow", "workflow": stored.pk}
    header = stored.options.get(traces.HEADER)
    return {**headers, traces.HEADER: header} if header else headers


def asked(stored: StoredWorkflow) -> dict[str, str]:
    """Return the request to cancel in the form in which a job is given it; nothing where no one has asked."""
    if stored.cancel_at is None:
        return {}
    return {"asked": json.dumps({"by": stored.cancel_by, "at": stored.cancel_at.timestamp()})}


class Plan:
    """What follows from how far the workflow has come: who has ended, who is blocked, who can go."""

    def __init__(self, graph: Graph, snapshot: Snapshot, *, cancelled: bool = False) -> None:
        self.graph = graph
        self.snapshot = snapshot
        self.cancelled = cancelled  # the workflow: that one of its jobs alone was cancelled is a failure
        self.node_states: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.extras: dict[str, Any] = {}
        self.results: dict[str, str] = {}
        self.ready: list[str] = []
        self.failed = 0
        self._edges = [0] * len(graph.nodes), [0] * len(graph.nodes)
        order = graph.order()
        if snapshot.node_states:
            self._keep_results()
            children = graph.children()
            for index in order:
                self._place(index, children[index])
        work = [str(node.index) for node in graph.nodes if node.index not in graph.handlers]
        self.left = sum(self.node_states.get(name) not in ENDED for name in work)
        self.ready = [name for name in work if name not in self.node_states and self._can_go(int(name))]

    def expanding(self) -> list[str]:
        """Return the fan-outs that are running."""
        return [
            name
            for name, node_state in self.node_states.items()
            if node_state == NodeState.EXPANDING and "." not in name
        ]

    def _can_go(self, index: int) -> bool:
        node = self.graph.nodes[index]
        return self._edges[0][index] >= (1 if node.join == "any" and node.parents else len(node.parents))

    def _place(self, index: int, children: list[tuple[int, When]]) -> None:
        """Settle one node; all that it waits for is settled."""
        name, node = str(index), self.graph.nodes[index]
        node_state = self.snapshot.node_states.get(name)
        if node.kind == Kind.FAN_OUT and name in self.snapshot.items and node_state not in ENDED:
            node_state = self._fan_out(name)
        if node_state is None and self._is_blocked(index):
            node_state = NodeState.BLOCKED
        if node_state in WAITS_OUTSIDE and name in self.snapshot.since:
            self.extras[f"a{name}"] = self.snapshot.since[name]
        # A node that was sent and is not known to run is sent again: its message is gone with Redis.
        if node_state in ENDED or node_state in {NodeState.RUNNING, NodeState.EXPANDING}:
            self.node_states[name] = str(node_state)
        if node_state not in ENDED:
            return
        handled = self.graph.lenient and any(when != When.SUCCESS for _, when in children)
        handled |= node_state == NodeState.TIMED_OUT and any(when == When.TIMEOUT for _, when in children)
        if (node_state in BAD and not handled) or (node_state == NodeState.CANCELLED and not self.cancelled):
            self.failed += 1
        for child, when in children:
            true = comes_true(when, node_state)
            self._edges[0 if true else 1][child] += 1
            field = str(child) if true else f"-{child}"
            self.counts[field] = self.counts.get(field, 0) + 1

    def _is_blocked(self, index: int) -> bool:
        node = self.graph.nodes[index]
        limit = len(node.parents) if node.join == "any" else 1
        return bool(node.parents) and self._edges[1][index] >= limit

    def _fan_out(self, name: str) -> NodeState:
        """Count the items of a fan-out that is running; those that are missing are sent by the sweeper."""
        count = self.snapshot.items[name]
        found = {i: self.snapshot.node_states.get(f"{name}.{i}") for i in range(count)}
        ended = [node_state for node_state in found.values() if node_state in ENDED]
        self.extras |= {f"m{name}": count, f"d{name}": len(ended)}
        self.extras[f"f{name}"] = sum(node_state not in GOOD for node_state in ended)
        if self.graph.nodes[int(name)].options.get("limit"):
            self.extras[f"u{name}"] = sum(node_state == NodeState.RUNNING for node_state in found.values())
        self.node_states |= {
            f"{name}.{i}": str(node_state)
            for i, node_state in found.items()
            if node_state in ENDED or node_state == NodeState.RUNNING
        }
        if count and len(ended) == count:
            return NodeState.FAILED if self.extras[f"f{name}"] else NodeState.SUCCEEDED
        return NodeState.EXPANDING

    def _keep_results(self) -> None:
        """Take over the results that someone needs."""
        wants = wanted(self.graph)
        fan_outs = {str(node.index) for node in self.graph.nodes if node.kind == Kind.FAN_OUT}
        for name, value in self.snapshot.results.items():
            head, _, item = name.partition(".")
            if item:
                self.results |= parts_of_item(name, value, wants.get(int(head), []))
            else:
                self.results |= parts_of(name, value, wants.get(int(head), []))
        for name in fan_outs & self.snapshot.items.keys():
            count = self.snapshot.items[name]
            texts = [self.results.get(f"{name}.{i}") for i in range(count)]
            if all(text is not None for text in texts):
                whole = [self.snapshot.results[f"{name}.{i}"] for i in range(count)]
                self.results |= parts_of(name, whole, [(), *wants.get(int(name), [])])


def snapshot_of(stored: StoredWorkflow, *, keep: Mapping[str, NodeState] | None = None) -> Snapshot:
    """Return how far the workflow has come by the database; `keep`, if given, are the only states that count."""
    node_states = {
        str(i): NodeState(node_state)
        for i, node_state in enumerate(stored.node_states)
        if node_state != NodeState.WAITING
    }
    jobs = Job.objects.filter(workflow_id=stored.pk).only("node", "state", "result", "last_event", "state_event")
    results = {}
    for job in jobs.iterator(chunk_size=2000):
        node_state = NODE_STATES.get(job.state)
        if node_state is None or _is_over(stored, job, node_state):
            continue
        node_states[job.node] = node_state
        if node_state in GOOD:
            results[job.node] = job.result
    for name, decision in stored.decisions.items():
        if decision.get("done"):
            node_states[name], results[name] = NodeState.SUCCEEDED, decision["result"]
        else:
            results[name] = decision
    if keep is not None:
        node_states = dict(keep)
    items = {
        name: count for name, count in stored.items.items() if node_states.get(name) not in (None, NodeState.BLOCKED)
    }
    since = {n: float(at) for n, at in stored.waiting_since.items() if node_states.get(n) in WAITS_OUTSIDE and at}
    return Snapshot(node_states, results, items, since)


def _is_over(stored: StoredWorkflow, job: Job, node_state: NodeState) -> bool:
    """Return whether what the job says is of a life of the workflow before it was resumed, and was not kept."""
    lives = stored.options.get("lives")
    if not lives or (job.state_event or job.last_event) > lives["before"]:
        return False
    head, dot, _ = job.node.partition(".")
    if dot and head in lives["items"]:
        return node_state not in GOOD
    return stored.node_states[int(head)] != node_state  # what was kept has the state that its job says
