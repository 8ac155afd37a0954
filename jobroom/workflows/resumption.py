"""What a resume of a failed workflow keeps, and what runs again."""

import dataclasses
from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from celery import current_app
from celery.backends.redis import RedisBackend
from django.db.models import Max
from django.utils import timezone

from jobroom import events
from jobroom.events import cancellation, consumer
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs.models import Job
from jobroom.jobs.models import State as JobState
from jobroom.users import User
from jobroom.workflows.engine import loader
from jobroom.workflows.engine.keys import GOOD, NodeState
from jobroom.workflows.exceptions import NotNow
from jobroom.workflows.graph import Graph, Kind, Node
from jobroom.workflows.models import StoredWorkflow

# Results that are deleted at once.
CHUNK = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Resumption:
    """What a resume would do."""

    bad: list[Node]  # nodes that failed and run again
    following: list[Node]  # nodes that wait for them, and run again or at last
    kept: int  # nodes whose results are kept


def resumption(stored: StoredWorkflow, graph: Graph, changed: Iterable[str] = ()) -> Resumption:
    """Return what `resume` would do now, with other arguments for the nodes `changed`; nothing happens."""
    kept, again = plan(graph, loader.snapshot_of(stored), set(changed))
    whole = {int(name) for name in kept if name.isdecimal()}
    work = [node for node in graph.nodes if node.index not in graph.handlers]
    following = [node for node in work if node.index not in whole and node.index not in again]
    bad = [node for node in again.values() if node.index not in graph.handlers]
    return Resumption(bad, following, len(work) - len(bad) - len(following))


def count_as_done(
    stored: StoredWorkflow, graph: Graph, snapshot: loader.Snapshot, done: Mapping[str, Any], by: User | None
) -> dict[str, Any]:
    """Let nodes stand as succeeded with the results that someone gives; return the decisions with these."""
    nodes = {node.key: node for node in graph.nodes}
    unknown = [key for key in done if key not in nodes or nodes[key].kind != Kind.TASK]
    if unknown:
        raise NotNow(f"There is no node {', '.join(unknown)} with a job.")
    who = by.get_username() if by is not None else "Jobroom"
    found = dict(stored.decisions)
    for key, result in done.items():
        name = str(nodes[key].index)
        found[name] = {"done": True, "by": who, "at": timezone.now().isoformat(), "result": result}
        snapshot.node_states[name], snapshot.results[name] = NodeState.SUCCEEDED, result
    return found


def lives_of(stored: StoredWorkflow, graph: Graph, kept: Mapping[str, NodeState]) -> dict[str, Any]:
    """Say which events of jobs are of an earlier life, and of which fan-outs the items that succeeded are kept.

    What was reported and is not recorded yet is of the earlier life too: no one has decided by it.
    """
    last = Job.objects.filter(workflow_id=stored.pk).aggregate(last=Max("last_event"))["last"] or 0
    with suppress(RedisUnavailable):
        last = max(last, events.sequence(consumer.mark().position))
    items = {name.partition(".")[0] for name in kept if "." in name}
    return {"before": last, "items": sorted(items)}


def check_recorded(stored: StoredWorkflow, graph: Graph, kept: Mapping[str, NodeState]) -> None:
    """Raise NotNow where it is not known yet how a node ended that would run again, as it may not run twice."""
    with suppress(RedisUnavailable):
        lag = consumer.lag()
        if lag.is_late:
            raise NotNow(
                f"The history is {lag.seconds:.0f} s behind, so no one knows yet what has to run again. Try again when it has caught up."
            )
    running = Job.objects.filter(workflow_id=stored.pk, state=JobState.RUNNING).values_list("node", flat=True)
    known = {str(node.index): node.key for node in graph.nodes}  # one that a task has added may not be written down yet
    heads = {name.partition(".")[0] for name in running if name not in kept}
    names = sorted(known.get(head, head) for head in heads)
    if names:
        those = f"“{names[0]}”" if len(names) == 1 else f"“{names[0]}” and {len(names) - 1} more"
        raise NotNow(
            f"The end of {those} is not recorded yet: it may still run. Try again when it is, or cancel its job if it hangs."
        )


def allowance(stored: StoredWorkflow) -> timedelta:
    """Return for how long a workflow may go on from now."""
    return timedelta(seconds=stored.options.get("max_processing_time") or 7 * 24 * 3600)


def plan(
    graph: Graph, snapshot: loader.Snapshot, changed: set[str], done: Container[str] = ()
) -> tuple[dict[str, NodeState], dict[int, Node]]:
    """Return the states that stand, and the nodes that run again: those that failed, and all that follow them.

    What is `done` by someone's word stands, whatever runs again before it.
    """
    settled = {node.index for node in graph.nodes if node.key in done}
    bad = {
        node.index
        for node in graph.nodes
        if node.key in changed or snapshot.node_states.get(str(node.index)) not in {*GOOD, NodeState.BLOCKED, None}
    } - settled
    open_nodes = {n.index for n in graph.nodes if snapshot.node_states.get(str(n.index)) in {None, NodeState.BLOCKED}}
    moved = bad | graph.descendants(bad, settled)
    reset = moved | open_nodes | graph.handlers
    kept = {
        name: node_state
        for name, node_state in snapshot.node_states.items()
        if int(name.partition(".")[0]) not in reset
    }
    for name, node_state in snapshot.node_states.items():
        head, dot, _ = name.partition(".")
        # Of a fan-out that failed, the items that succeeded are kept, unless what they run over is made again.
        if not dot or node_state not in GOOD or int(head) not in bad or graph.nodes[int(head)].key in changed:
            continue
        if not graph.ancestors(int(head)) & moved:
            kept[name] = node_state
    again = {index: graph.nodes[index] for index in sorted(bad)}
    return kept, again


def want_again(graph: Graph, nodes: Iterable[str], kept: Container[str]) -> None:
    """Of these nodes and items that are not kept, forget that jobs were asked to end, or gave their place away, which should run now, however they ended."""
    ids = [graph.job_id(name) for name in nodes if name not in kept]
    asked = Job.objects.filter(pk__in=ids, cancel_at__isnull=False)
    cancellation.withdraw_all(list(asked.values_list("pk", flat=True)))
    asked.update(cancel_by="", cancel_at=None)
    for start in range(0, len(ids), CHUNK):
        events.forget_replaced(ids[start : start + CHUNK])
    _forget_results(ids)


def _forget_results(ids: list[str]) -> None:
    """Delete what Celery keeps of ends that do not count any more, or the sweeper would take them for those to come."""
    backend: Any = current_app.backend
    if not isinstance(backend, RedisBackend):
        return
    for start in range(0, len(ids), CHUNK):
        backend.client.delete(*(backend.get_key_for_task(job) for job in ids[start : start + CHUNK]))
