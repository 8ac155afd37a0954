"""Verifies workflows that have ended against their jobs, and looks at running ones a few times a second."""

import logging
from collections import defaultdict
from datetime import timedelta
from typing import Any

from django.utils import timezone

from jobroom import housekeeping_loops, redis
from jobroom.jobs.models import Job
from jobroom.workflows import arrivals, services, store
from jobroom.workflows.conf import settings
from jobroom.workflows.engine import keys
from jobroom.workflows.engine.keys import ENDED, GOOD, NODE_STATES, NodeState
from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.graph import Kind
from jobroom.workflows.models import FINISHED, State, StoredWorkflow
from jobroom.workflows.repair import sweeper

logger = logging.getLogger(__name__)

# Workflows and nodes whose time is over that one look deals with.
MOST = 100
# How long after its end a workflow is proven when this process has not done so yet.
LATELY = timedelta(hours=1)
# Node states that explain why a workflow did not succeed.
REASONS = frozenset({NodeState.FAILED, NodeState.LOST, NodeState.CANCELLED, NodeState.TIMED_OUT})


def glance() -> None:
    """Deal with what is due and with what ended in workers that do not load this code. Raises redis errors."""
    _due()
    _foreign()


def _due() -> None:
    """Give up workflows, and decide for nodes that wait, whose time is over; the sweeper does what is forgotten here."""
    client = redis.client()
    due: Any = client.zrangebyscore(keys.due(), "-inf", redis.now(client), start=0, num=MOST)
    for name in due:
        with housekeeping_loops.isolated("looking at what is due", f"workflow {name}"):
            workflow_id, _, index = str(name).partition("/")
            stored = StoredWorkflow.objects.filter(pk=workflow_id).first()
            if stored is not None and not stored.is_finished:
                try:
                    _over(stored, index)
                except WorkflowException as error:
                    logger.warning("What is due of workflow %s is left to the sweeper: %s", name, error)
        client.zrem(keys.due(), name)  # the sweeper looks again at one that could not be processed


def _over(stored: StoredWorkflow, index: str) -> None:
    if index:
        arrivals.overdue(stored, stored.read_graph().nodes[int(index)])
    elif stored.deadline_at is not None and timezone.now() >= stored.deadline_at:
        services.give_up(stored, "The workflow was processed for too long.")


def _foreign() -> None:
    """End nodes whose end Celery's results know, of workflows with nodes in workers that do not load this code."""
    client = redis.client()
    ids: Any = client.smembers(keys.foreign())
    found = StoredWorkflow.objects.in_bulk([str(workflow_id) for workflow_id in ids]) if ids else {}
    for workflow_id in ids:
        stored = found.get(str(workflow_id))
        if stored is None or stored.is_finished:
            client.srem(keys.foreign(), workflow_id)
        else:
            with housekeeping_loops.isolated("looking at nodes of other workers", f"workflow {workflow_id}"):
                sweeper.Round(stored).foreign_ends()


class Proofs:
    """Which workflows that have ended were proven in this process, each life of them once."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}

    def forget(self, workflow_id: str) -> None:
        """Let a workflow be proven again: a job of it has another state than before."""
        self.done.pop(workflow_id, None)

    def due(self) -> list[StoredWorkflow]:
        """Return workflows that ended lately, long enough ago for the last words about them to be in the database."""
        now = timezone.now()
        moments = (now - LATELY, now - timedelta(seconds=settings.SILENT_AFTER))
        ended = StoredWorkflow.objects.filter(state__in=FINISHED, finished_at__range=moments)
        rows = list(ended.order_by("-finished_at").values_list("pk", "epoch")[:1000])
        known = {pk for pk, _ in rows}
        self.done = {pk: epoch for pk, epoch in self.done.items() if pk in known}
        ids = [pk for pk, epoch in rows if self.done.get(pk) != epoch][:MOST]
        return list(StoredWorkflow.objects.filter(pk__in=ids))


proofs = Proofs()


def prove() -> int:
    """Prove workflows that ended lately; return how many were wrong."""
    wrong = 0
    for stored in proofs.due():
        proofs.done[stored.pk] = stored.epoch
        with housekeeping_loops.isolated("proving workflows", f"workflow {stored.pk}"):
            wrong += _prove(stored)
    return wrong


def _prove(stored: StoredWorkflow) -> bool:
    """Correct states that are not those of the jobs; go on where nothing is left that explains a failure."""
    corrected = _as_jobs_say(stored)
    if corrected:
        logger.warning("Node states of workflow %s are corrected by its jobs: %s", stored.pk, corrected)
        store.set_node_states(stored.pk, corrected)
        stored.refresh_from_db()
    if stored.state == State.FAILURE and not REASONS.intersection(stored.node_states):
        _go_on(stored)
        return True
    return bool(corrected)


def _as_jobs_say(stored: StoredWorkflow) -> dict[str, NodeState]:
    """Return the states that differ from the ends of the jobs: what was lost or failed and has succeeded since, and what
    is open although its job has ended, because the recorder was killed before it had written down the state.
    """
    known = list(enumerate(stored.node_states))
    bad = {str(index) for index, node_state in known if node_state in {NodeState.LOST, NodeState.FAILED}}
    unended = {str(index) for index, node_state in known if node_state not in ENDED}
    if not bad and not unended:
        return {}
    jobs = Job.objects.filter(workflow_id=stored.pk).values_list("node", "state")
    found: dict[str, NodeState] = {}
    items: dict[str, list[NodeState]] = defaultdict(list)
    for node, state in jobs:
        head, dot, _ = node.partition(".")
        node_state = NODE_STATES[state]
        if dot and head in bad | unended:
            items[head].append(node_state)
        elif (node in bad and node_state in GOOD) or (node in unended and node_state in ENDED):
            found[node] = node_state
    for head, node_states in items.items():
        if len(node_states) == stored.items.get(head) and GOOD.issuperset(node_states):
            found[head] = NodeState.SUCCEEDED
    return found


def _go_on(stored: StoredWorkflow) -> None:
    """Run what was blocked by a node that has succeeded after all."""
    if not any(node_state not in ENDED or node_state == NodeState.BLOCKED for node_state in _work(stored)):
        StoredWorkflow.objects.filter(pk=stored.pk, state=State.FAILURE).update(state=State.SUCCESS)
        logger.warning("Workflow %s has succeeded: what was lost had succeeded after all", stored.pk)
        return
    logger.warning("Workflow %s goes on: what was lost had succeeded, and others still wait for it", stored.pk)
    services.resume(stored, by=None)


def _work(stored: StoredWorkflow) -> list[str]:
    graph = stored.read_graph()
    nodes = [node for node in graph.nodes if node.index not in graph.handlers and node.kind != Kind.VALUE]
    return [stored.node_states[node.index] for node in nodes]
