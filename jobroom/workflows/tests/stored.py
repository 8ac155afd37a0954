"""Workflows in the database as tests of pages want them: a graph, and how far it has come."""

import json
from typing import Any

from django.utils import timezone

from jobroom.jobs.models import Job, Source
from jobroom.jobs.models import State as JobState
from jobroom.workflows.engine.keys import NodeState
from jobroom.workflows.graph import Graph, Kind, Node, When
from jobroom.workflows.models import State, StoredWorkflow

JOB_STATES = {
    NodeState.QUEUED: JobState.QUEUED,
    NodeState.RUNNING: JobState.RUNNING,
    NodeState.SUCCEEDED: JobState.SUCCEEDED,
    NodeState.SKIPPED: JobState.SKIPPED,
    NodeState.FAILED: JobState.FAILED,
    NodeState.LOST: JobState.LOST,
    NodeState.CANCELLED: JobState.CANCELLED,
}


def node(index: int, *parents: int, when: When = When.SUCCESS, **more: Any) -> Node:
    """Return a node that waits for others."""
    fields = {"key": f"k{index}", "id": f"job-{index}", "task": "demo.add", **more}
    return Node(index=index, parents=[(parent, when) for parent in parents], **fields)


def chain(count: int, **more: Any) -> Graph:
    """Return nodes one after the other."""
    return Graph([node(index, *([index - 1] if index else []), **more) for index in range(count)])


def fan(count: int) -> Graph:
    """Return one node, many after it, and one after all of these."""
    middle = [node(index, 0) for index in range(1, count + 1)]
    return Graph([node(0), *middle, node(count + 1, *range(1, count + 1))])


def layers(count: int, wide: int) -> Graph:
    """Return nodes in layers, each after two of the layer before."""
    made = []
    for index in range(count):
        before = (index // wide - 1) * wide
        parents = {before + (index * 7) % wide, before + index % wide} if index >= wide else set()
        made.append(node(index, *sorted(parents)))
    return Graph(made)


def store(
    graph: Graph, node_states: str, *, state: str = State.RUNNING, jobs: bool = True, **fields: Any
) -> StoredWorkflow:
    """Write a workflow into the database, with a job for each node that was sent."""
    graph.check()
    now = timezone.now()
    stored = StoredWorkflow(
        name=fields.pop("name", "sample"), state=state, graph=json.dumps(graph.plain()), epoch=1, started_at=now,
        total=len(graph.nodes) - len(graph.handlers), **fields,
    )  # fmt: skip
    stored.set_node_states(node_states)
    stored.save(force_insert=True)
    if jobs:
        sent = [one for one in graph.nodes if one.kind == Kind.TASK and node_states[one.index] in JOB_STATES]
        Job.objects.bulk_create(
            job(stored, str(one.index), JOB_STATES[NodeState(node_states[one.index])]) for one in sent
        )
    return stored


def job(stored: StoredWorkflow, name: str, state: JobState, **fields: Any) -> Job:
    """Return the job of a node, or of one item of a fan-out."""
    now = timezone.now()
    ended = state not in {JobState.QUEUED, JobState.RUNNING}
    return Job(
        id=f"{stored.pk}-{name}", task="demo.add", state=state, workflow_id=stored.pk, node=name, source=Source.WORKFLOW,
        owner=stored.owner, execution="a", queued_at=now, started_at=None if state == JobState.QUEUED else now,
        finished_at=now if ended else None, error="It broke" if state == JobState.FAILED else "", **fields,
    )  # fmt: skip


# A definition with a payload.
SUMS = """
name: sums
title: Sums
payload: {required: [a], properties: {a: {type: integer, minimum: 1}, b: {type: number, default: 2}}}
nodes:
  add: {task: demo.add, args: ["${payload.a}", "${payload.b}"]}
"""
