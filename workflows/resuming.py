"""What a resume keeps of a workflow that ended badly, and what runs again."""

import dataclasses
from collections.abc import Container, Iterable, Mapping
from datetime import timedelta
from typing import Any

from celery import current_app
from celery.backends.redis import RedisBackend
from django.contrib.auth.models import User
from django.db.models import Max
from django.utils import timezone

from common import cancelling
from jobs.models import Job
from workflows.engine import loading
from workflows.engine.keys import GOOD, Letter
from workflows.exceptions import NotNow
from workflows.graph import Graph, Kind, Node
from workflows.models import StoredWorkflow

# Results that are deleted at once.
CHUNK = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Resumption:
    """What a resume would do."""

    bad: list[Node]  # nodes that did not end well and run again
    following: list[Node]  # nodes that wait for them, and run again or at last
    kept: int  # nodes whose results are kept


def resumption(stored: StoredWorkflow, graph: Graph, changed: Iterable[str] = ()) -> Resumption:
    """Return what `resume` would do now, with other arguments for the nodes `changed`; nothing happens."""
    kept, again = plan(graph, loading.standing_of(stored), set(changed))
    whole = {int(name) for name in kept if name.isdecimal()}
    work = [node for node in graph.nodes if node.index not in graph.handlers]
    following = [node for node in work if node.index not in whole and node.index not in again]
    bad = [node for node in again.values() if node.index not in graph.handlers]
    return Resumption(bad, following, len(work) - len(bad) - len(following))


def count_as_done(
    stored: StoredWorkflow, graph: Graph, standing: loading.Standing, done: Mapping[str, Any], by: User | None
) -> dict[str, Any]:
    """Let nodes stand as succeeded with the results that somebody gives; return the decisions with these."""
    nodes = {node.key: node for node in graph.nodes}
    unknown = [key for key in done if key not in nodes or nodes[key].kind != Kind.TASK]
    if unknown:
        raise NotNow(f"There is no node {', '.join(unknown)} with a job.")
    who = by.get_username() if by is not None else "the control room"
    found = dict(stored.decisions)
    for key, result in done.items():
        name = str(nodes[key].index)
        found[name] = {"done": True, "by": who, "at": timezone.now().isoformat(), "result": result}
        standing.letters[name], standing.results[name] = Letter.SUCCEEDED, result
    return found


def lives_of(stored: StoredWorkflow, graph: Graph, kept: Mapping[str, Letter]) -> dict[str, Any]:
    """Say which words of jobs are of an earlier life, and of which fan-outs the items that ended well are kept."""
    last = Job.objects.filter(workflow_id=stored.pk).aggregate(last=Max("last_event"))["last"]
    items = {name.partition(".")[0] for name in kept if "." in name}
    return {"before": last or 0, "items": sorted(items)}


def allowance(stored: StoredWorkflow) -> timedelta:
    """Return for how long a workflow may go on from now."""
    return timedelta(seconds=stored.options.get("max_processing_time") or 7 * 24 * 3600)


def plan(
    graph: Graph, standing: loading.Standing, changed: set[str], done: Container[str] = ()
) -> tuple[dict[str, Letter], dict[int, Node]]:
    """Return the letters that stand, and the nodes that run again: those that ended badly, and all that follow them.

    What is `done` by somebody's word stands, whatever runs again before it.
    """
    told = {node.index for node in graph.nodes if node.key in done}
    bad = {
        node.index
        for node in graph.nodes
        if node.key in changed or standing.letters.get(str(node.index)) not in {*GOOD, Letter.BLOCKED, None}
    } - told
    open_nodes = {n.index for n in graph.nodes if standing.letters.get(str(n.index)) in {None, Letter.BLOCKED}}
    moved = bad | graph.descendants(bad, told)
    reset = moved | open_nodes | graph.handlers
    kept = {name: letter for name, letter in standing.letters.items() if int(name.partition(".")[0]) not in reset}
    for name, letter in standing.letters.items():
        head, dot, _ = name.partition(".")
        # Of a fan-out that failed, the items that ended well are kept, unless what they run over is made again.
        if not dot or letter not in GOOD or int(head) not in bad or graph.nodes[int(head)].key in changed:
            continue
        if not graph.ancestors(int(head)) & moved:
            kept[name] = letter
    again = {index: graph.nodes[index] for index in sorted(bad)}
    return kept, again


def want_again(graph: Graph, standing: loading.Standing, kept: Mapping[str, Letter]) -> None:
    """Forget that jobs were asked to end which shall run now, also of those that ended otherwise before they noticed."""
    ids = [graph.job_id(name) for name in standing.letters if name not in kept]
    asked = Job.objects.filter(pk__in=ids, cancel_at__isnull=False)
    for job in asked.values_list("pk", flat=True):
        cancelling.withdraw(job)
    asked.update(cancel_by="", cancel_at=None)
    _forget_results(ids)


def _forget_results(ids: list[str]) -> None:
    """Delete what Celery keeps of ends that do not count any more, or the sweeper would take them for those to come."""
    backend: Any = current_app.backend
    if not isinstance(backend, RedisBackend):
        return
    for start in range(0, len(ids), CHUNK):
        backend.client.delete(*(backend.get_key_for_task(job) for job in ids[start : start + CHUNK]))
