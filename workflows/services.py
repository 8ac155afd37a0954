"""What is done with workflows, whoever asks: begin, pause, go on, cancel, resume, decide, run again."""

import dataclasses
import json
import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from celery.utils import uuid
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from common import cancelling, redis
from common.signals import cancel_asked
from jobs.models import ACTIVE as JOB_ACTIVE
from jobs.models import Job
from workflows import policies, resuming
from workflows.conf import settings
from workflows.engine import keys, loading, reacting, scripts
from workflows.engine.keys import Letter
from workflows.engine.parts import parts_of
from workflows.engine.records import wanted
from workflows.exceptions import EngineUnavailable, NotAllowed, NotNow
from workflows.graph import Graph, Kind, Node
from workflows.models import FINISHED, DefinitionVersion, State, StoredWorkflow
from workflows.reading import letters_now
from workflows.workflows import Workflow

logger = logging.getLogger(__name__)

# Who decides when nobody has.
TIMEOUT = "the time limit"


# --- begin -----------------------------------------------------------------------------------------------------------


def start(
    workflow: Workflow,
    *,
    owner: User | None = None,
    source: str = "code",
    payload: Mapping[str, Any] | None = None,
    note: str = "",
    schedule: str = "",
    definition: DefinitionVersion | None = None,
    rerun_of: StoredWorkflow | None = None,
) -> StoredWorkflow:
    """Write a frozen workflow into the book, and begin it when the transaction commits."""
    graph, now = workflow.graph, timezone.now()
    stored = StoredWorkflow(
        id=workflow.id,
        name=workflow.name,
        state=State.RUNNING,
        graph=graph.dumps(),
        total=len(graph.nodes) - len(graph.handlers),
        payload=dict(payload or {}),
        custom_payload=workflow.custom_payload,
        options=_options(workflow),
        owner=owner,
        source=source,
        schedule=schedule,
        note=note,
        definition=definition,
        rerun_of=rerun_of,
        created_at=now,
        started_at=now,
        epoch=1,
        deadline_at=now + timedelta(seconds=workflow.max_processing_time),
    )
    done = workflow.finished
    stored.set_letters("".join("s" if done.get(node.id) else "w" for node in graph.nodes))
    stored.save(force_insert=True)
    transaction.on_commit(lambda: _begin(stored, graph, skipped=bool(done)))
    return stored


def _options(workflow: Workflow) -> dict[str, Any]:
    return {
        "workflow": workflow.workflow_options,
        "tasks": workflow.tasks_options,
        "external": list(workflow.external),
        "max_processing_time": workflow.max_processing_time,
    }


def _begin(stored: StoredWorkflow, graph: Graph, *, skipped: bool) -> None:
    """Put the workflow into Redis; when Redis is away the sweeper does it later."""
    try:
        loading.load(stored, graph, loading.standing_of(stored) if skipped else None)
    except (redis.Error, OSError) as error:
        logger.warning("Workflow %s waits for Redis: %s", stored.pk, error)


def as_written(workflow_id: str) -> Workflow | None:
    """Return a workflow of the book in the form in which it was written, None if there is none."""
    stored = StoredWorkflow.objects.filter(pk=workflow_id).first()
    return rewritten(stored, stored.read_graph()) if stored is not None else None


def rewritten(stored: StoredWorkflow, graph: Graph) -> Workflow:
    """Return the workflow as it is written in Python."""
    options = stored.options
    return Workflow.from_dict(
        {
            "id": stored.pk,
            "name": stored.name,
            "state": stored.state,
            "graph": graph.plain(),
            "custom_payload": stored.custom_payload,
            "workflow_options": options.get("workflow", {}),
            "tasks_options": options.get("tasks", {}),
            "external": options.get("external", []),
            "max_processing_time": options.get("max_processing_time", 0) or 7 * 24 * 3600,
        }
    )


def run_again(
    stored: StoredWorkflow,
    *,
    by: User | None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    source: str = "code",
    note: str = "",
) -> StoredWorkflow:
    """Run the same graph from the beginning as a new workflow; `changes`: new args and kwargs by key of node."""
    _check(by, stored, policies.may_act)
    graph = stored.read_graph()
    apply_changes(graph, changes or {})
    for node in graph.nodes:
        node.id = uuid()
    workflow = rewritten(stored, graph)
    workflow.id, workflow.state = None, State.INITIAL
    workflow.freeze()
    return start(
        workflow,
        owner=by or stored.owner,
        source=source,
        payload=stored.payload,
        note=note,
        definition=stored.definition,
        rerun_of=stored,
    )


def apply_changes(graph: Graph, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Give nodes other arguments; raise NotNow, which names the node, where that is not possible."""
    nodes = {node.key: node for node in graph.nodes}
    for key, change in changes.items():
        node = nodes.get(key)
        if node is None or node.kind == Kind.APPROVAL:
            raise NotNow(f"There is no node “{key}” with arguments. There are: {', '.join(sorted(nodes))[:300]}.")
        unknown = change.keys() - {"args", "kwargs"}
        if unknown:
            raise NotNow(f"Of node “{key}” only args and kwargs can be changed, not {', '.join(sorted(unknown))}.")
        if not isinstance(change.get("args", []), list) or not isinstance(change.get("kwargs", {}), dict):
            raise NotNow(f"Of node “{key}” args must be a JSON list and kwargs a JSON object.")
        node.args, node.kwargs = change.get("args", node.args), change.get("kwargs", node.kwargs)
    graph.check()


def _check(by: User | None, stored: StoredWorkflow, rule: Any) -> None:
    if by is not None and not rule(by, stored):
        raise NotAllowed("Only its owner and staff may do that with this workflow.")


# --- pause and cancel ------------------------------------------------------------------------------------------------


def pause(stored: StoredWorkflow, *, by: User | None) -> None:
    """Begin no more nodes until somebody lets it go on; what runs goes on."""
    _check(by, stored, policies.may_act)
    _move(stored, {State.RUNNING}, State.PAUSED, "It can be paused only while it runs.")
    _tell_engine(stored, "pause", 1)


def unpause(stored: StoredWorkflow, *, by: User | None) -> None:
    """Let a paused workflow go on."""
    _check(by, stored, policies.may_act)
    _move(stored, {State.PAUSED}, State.RUNNING, "It is not paused.")
    _tell_engine(stored, "pause", 0)


def _move(stored: StoredWorkflow, before: Iterable[State], after: State, why: str, **fields: Any) -> None:
    found = StoredWorkflow.objects.filter(pk=stored.pk, state__in=list(before))
    if not found.update(state=after, **fields):
        stored.refresh_from_db(fields=["state"])
        raise NotNow(f"{why} It is {stored.get_state_display().lower()}.")
    stored.state = after
    for name, value in fields.items():
        setattr(stored, name, value)


def _tell_engine(stored: StoredWorkflow, script: str, *arguments: Any) -> Any:
    try:
        answer: Any = scripts.run(script, keys.workflow(stored.pk), *arguments)
        if script != "cancel":
            reacting.react(stored.pk, answer)
    except (redis.Error, OSError) as error:
        raise EngineUnavailable from error
    return answer


@dataclasses.dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancel did."""

    queued: int  # jobs that will certainly not start
    running: int  # jobs that were asked to stop
    waiting: int  # nodes that had not been begun

    def __str__(self) -> str:
        """Say it in one sentence."""
        parts = [f"{self.waiting} node{'s' * (self.waiting != 1)} will not be begun"]
        if self.queued:
            parts.append(f"{self.queued} queued job{'s' * (self.queued != 1)} will not start")
        if self.running:
            parts.append(
                f"{self.running} running job{'s' * (self.running != 1)} asked to stop: at the next progress call, or by "
                "ending the process after the grace period"
            )
        return f"{'; '.join(parts)}."


def cancel(stored: StoredWorkflow, *, by: User | None, name: str = "", error: str = "") -> Cancelled:
    """Begin nothing more and end what is at work; return what that meant."""
    _check(by, stored, policies.may_act)
    who = by.get_username() if by is not None else name or "the control room"
    active = StoredWorkflow.objects.filter(pk=stored.pk).exclude(state__in=FINISHED)
    if not active.update(cancel_by=who, cancel_at=timezone.now(), **({"error": error} if error else {})):
        stored.refresh_from_db(fields=["state"])
        raise NotNow(f"It has ended already: {stored.get_state_display().lower()}.")
    graph = stored.read_graph()
    letters = letters_now(stored)
    waiting = sum(
        letters[n.index] in {Letter.WAITING, Letter.HELD} and n.index not in graph.handlers for n in graph.nodes
    )
    live, answer = _tell_engine(stored, "cancel", error, *(node.index for node in graph.nodes))
    running = end_jobs(graph, [str(node) for node in live], who)
    reacting.react(stored.pk, answer)
    return Cancelled(queued=len(live) - running, running=running, waiting=waiting)


def end_jobs(graph: Graph, live: list[str], who: str) -> int:
    """Ask for the end of jobs; return how many run and have to notice it."""
    ids = [graph.job_id(node) for node in live]
    Job.objects.filter(pk__in=ids, state__in=JOB_ACTIVE).update(cancel_by=who, cancel_at=timezone.now())
    running = 0
    for job in ids:
        running += cancelling.request(job, who)
        cancel_asked.send(sender=Job, job_id=job)
    return running


def give_up(stored: StoredWorkflow, reason: str) -> None:
    """End a workflow with an error, because it took too long; once."""
    if redis.client().hget(keys.workflow(stored.pk), "error") is None:
        cancel(stored, by=None, name=TIMEOUT, error=reason)


# --- resume ----------------------------------------------------------------------------------------------------------


def resume(
    stored: StoredWorkflow,
    *,
    by: User | None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    done: Mapping[str, Any] | None = None,
) -> list[Node]:
    """Go on at the nodes that did not end well, and keep every other result; return the nodes that run again.

    `changes`: new args and kwargs by key of node. `done`: results by key of nodes that somebody has done by hand, or knows
    to be done although their worker vanished; those do not run again. Raises NotAllowed and NotNow.
    """
    _check(by, stored, policies.may_act)
    if stored.state not in FINISHED - {State.SUCCESS}:
        raise NotNow(f"Only a workflow that ended badly can be resumed. It is {stored.get_state_display().lower()}.")
    graph = stored.read_graph()
    apply_changes(graph, changes or {})
    standing = loading.standing_of(stored)
    decisions = resuming.count_as_done(stored, graph, standing, done or {}, by)
    kept, again = resuming.plan(graph, standing, set(changes or {}), set(done or {}))
    now = timezone.now()
    letters = "".join(str(kept.get(str(node.index), Letter.WAITING)) for node in graph.nodes)
    fields: dict[str, Any] = {
        "epoch": stored.epoch + 1, "graph": graph.dumps(), "error": "", "cancel_by": "", "cancel_at": None,
        "finished_at": None, "result": None, "deadline_at": now + resuming.allowance(stored),
        "options": {**stored.options, "lives": resuming.lives_of(stored, graph, kept)},
        "decisions": {name: decision for name, decision in decisions.items() if name in kept},  # others are asked again
    }  # fmt: skip
    stored.set_letters(letters)
    _move(
        stored, {State(stored.state)}, State.RUNNING, "Somebody was faster.",
        letters=stored.letters, counts=stored.counts, **fields,
    )  # fmt: skip
    begun = {name.partition(".")[0] for name in kept}
    items = {name: count for name, count in standing.items.items() if name in begun}
    before, standing = standing, dataclasses.replace(standing, letters=kept, items=items)
    try:
        resuming.want_again(graph, before, kept)
        loading.load(stored, graph, standing)
    except (redis.Error, OSError) as error:
        logger.warning("Workflow %s waits for Redis: %s", stored.pk, error)
    return list(again.values())


# --- approvals -------------------------------------------------------------------------------------------------------


def decide(stored: StoredWorkflow, node: Node, *, approve: bool, by: User | None, comment: str = "") -> None:
    """Decide an approval that is waited for. Raises NotAllowed and NotNow."""
    if by is not None and not policies.may_decide(by, stored, node):
        raise NotAllowed("Only staff and the groups that the node names may decide this.")
    who = by.get_username() if by is not None else TIMEOUT
    _decide(stored, node, {"approved": approve, "by": who, "comment": comment, "at": timezone.now().isoformat()})


def _decide(stored: StoredWorkflow, node: Node, decision: dict[str, Any]) -> None:
    if node.kind != Kind.APPROVAL:
        raise NotNow(f"“{node.key}” is no approval.")
    name = str(node.index)
    with transaction.atomic():
        row = StoredWorkflow.objects.select_for_update().defer("graph").get(pk=stored.pk)
        paths = [path for path in wanted(stored.read_graph()).get(node.index, []) if path]
        parts = parts_of(name, decision, paths)
        letter = Letter.SUCCEEDED if decision["approved"] else Letter.FAILED
        flat = [text for pair in parts.items() for text in pair]
        answer = _decide_in_engine(stored, name, letter, decision, flat)
        row.decisions = {**row.decisions, name: decision}
        row.save(update_fields=["decisions"])
    reacting.react(stored.pk, answer)


def _decide_in_engine(
    stored: StoredWorkflow, name: str, letter: Letter, decision: Mapping[str, Any], parts: list[str]
) -> Any:
    try:
        answer = scripts.run("decide", keys.workflow(stored.pk), name, str(letter), json.dumps(decision), *parts)
    except (redis.Error, OSError) as error:
        raise EngineUnavailable from error
    if not answer:
        raise NotNow("Nobody waits for this decision: it is made already, or not asked for yet.")
    return answer


def decide_overdue(stored: StoredWorkflow, node: Node) -> bool:
    """Decide an approval whose time is over as it says; return whether it was."""
    timeout = node.options.get("timeout")
    since: Any = redis.client().hget(keys.workflow(stored.pk, "x"), f"a{node.index}")
    if timeout is None or since is None or redis.now() < float(since) + float(timeout):
        return False
    try:
        decide(
            stored,
            node,
            approve=node.options.get("on_timeout") == "approve",
            by=None,
            comment="Nobody decided in time.",
        )
    except NotNow:
        return False
    return True


# --- leave the book --------------------------------------------------------------------------------------------------


def cleanup(days: float | None = None) -> int:
    """Delete workflows that ended more than `days` (WORKFLOWS_KEEP_DAYS; 0 keeps all) ago; return how many.

    The jobs of their nodes leave the book by the rules of jobs.
    """
    days = settings.KEEP_DAYS if days is None else days
    if not days:
        return 0
    limit = timezone.now() - timedelta(days=days)
    old = StoredWorkflow.objects.filter(state__in=FINISHED, finished_at__lt=limit)
    count, _ = old.delete()
    return count
