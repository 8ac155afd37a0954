"""Operations on workflows for page, API and command: begin, pause, resume, cancel, decide, run again."""

import dataclasses
import logging
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from celery import chain, current_app
from celery.utils import uuid
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobroom import redis
from jobroom.arguments.redaction import hide, seal_leaves
from jobroom.celery import traces
from jobroom.conf import settings as jobs_settings
from jobroom.jobs import limits
from jobroom.jobs.models import FINISHED as JOB_FINISHED
from jobroom.jobs.models import Job
from jobroom.signals import acted, cancel_asked
from jobroom.users import User
from jobroom.workflows import admission, input_changes, policies, resumption, secret_arguments
from jobroom.workflows.conf import settings
from jobroom.workflows.engine import effects, keys, loader, scripts
from jobroom.workflows.engine.keys import NodeState
from jobroom.workflows.exceptions import EngineUnavailable, NotAllowed, NotNow, WorkflowException
from jobroom.workflows.exports import rewritten
from jobroom.workflows.graph import Graph, Node
from jobroom.workflows.models import FINISHED, DefinitionVersion, State, StoredWorkflow
from jobroom.workflows.workflows import Workflow

logger = logging.getLogger(__name__)

# Who decides, and gives up, when no one has.
TIMEOUT = "the time limit"
# Nodes and items that one step of a cancel settles, workflows that one deletes: Redis or SQLite serves no one else meanwhile.
SETTLED_AT_ONCE, DELETED_AT_ONCE = 2000, 100


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
    """Write a frozen workflow into the database, and begin it when the transaction commits."""
    graph, now = workflow.graph, timezone.now()
    secrets = secret_arguments.seal(graph, payload or {})
    stored = StoredWorkflow(
        id=workflow.id,
        name=workflow.name,
        state=State.RUNNING,
        graph=graph.dumps(),
        total=len(graph.nodes) - len(graph.handlers),
        payload=hide(payload or {}, secrets=secrets),
        custom_payload=seal_leaves(workflow.custom_payload, secrets),
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
    stored.set_node_states(
        "".join(NodeState.SUCCEEDED if done.get(node.id) else NodeState.WAITING for node in graph.nodes)
    )
    try:
        stored.save(force_insert=True)
    except IntegrityError as error:
        raise WorkflowException(
            f"{workflow!r} was sent already. Make a new one, or run it again with `jobroom.workflows.services.run_again`."
        ) from error
    transaction.on_commit(lambda: _began(workflow), robust=True)
    transaction.on_commit(lambda: _begin(stored, graph, skipped=bool(done)))
    return stored


def _began(workflow: Workflow) -> None:
    """Emit what celery-dyrygent's first tick does; only now is it certain that the workflow exists."""
    workflow.set_state(State.RUNNING)
    workflow.stats["last_apply_async_tick"] = int(time.time())
    workflow._active_tick = True


def begin_frozen(workflow: Workflow, request: Any, *, owner: User | None) -> None:
    """Begin a workflow whose signature runs as a job, with what follows the job in its chain; once."""
    if StoredWorkflow.objects.filter(pk=workflow.id).exists():
        return  # the message was delivered twice
    if request.chord or request.group:
        raise WorkflowException(
            "A frozen workflow can be a step of a chain, not a member of a group or a chord. Put these into the workflow "
            "with `add_celery_canvas`."
        )
    follows = [current_app.signature(step) for step in reversed(request.chain or ())]
    children = workflow.graph.children()
    ends = [node for node in workflow.nodes.values() if not children[node.node.index]]
    if follows:
        workflow.follow(chain(*follows), [node for node in ends if node.node.index not in workflow.graph.handlers])
    workflow.frozen()
    start(workflow, owner=owner, source="task")


def _options(workflow: Workflow) -> dict[str, Any]:
    header = traces.begin(f"launch/{workflow.name or 'workflow'}", workflow=workflow.id)
    options = {
        "workflow": workflow.workflow_options,
        "tasks": workflow.tasks_options,
        "external": list(workflow.external),
        "max_processing_time": workflow.max_processing_time,
    }
    return {**options, traces.HEADER: header} if header else options


def _begin(stored: StoredWorkflow, graph: Graph, *, skipped: bool) -> None:
    """Put the workflow into Redis; when Redis is away the sweeper does it later."""
    try:
        loader.load(stored, graph, loader.snapshot_of(stored) if skipped else None)
    except (redis.Error, OSError) as error:
        logger.warning("Workflow %s: Redis is unavailable: %s", stored.pk, error)


def run_again(
    stored: StoredWorkflow,
    *,
    by: User | None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    inputs: Mapping[str, Any] | None = None,
    source: str = "code",
    note: str = "",
) -> StoredWorkflow:
    """Run the same graph from the beginning as a new workflow; `changes` and `inputs` as in `resume`."""
    _check(by, stored, policies.may_act)
    admission.check_start(stored, by)
    limits.allow_launch(by, f"workflow {stored.name}")
    graph = stored.read_graph()
    changes, payload = input_changes.applied(stored, graph, changes or {}, inputs or {}, by)
    apply_changes(graph, changes)
    admission.check_graph(graph, by, fresh=changes)
    for node in graph.nodes:
        node.id = uuid()
    workflow = rewritten(stored, graph)
    workflow.id, workflow.state, workflow.processing_limit_ts = None, State.INITIAL, None
    workflow.frozen()
    return start(
        workflow,
        owner=by or stored.owner,
        source=source,
        payload=payload,
        note=note,
        definition=stored.definition,
        rerun_of=stored,
    )


def apply_changes(graph: Graph, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Give nodes other arguments; raise NotNow, which names the node, where that is not possible."""
    nodes = {node.key: node for node in graph.nodes}
    for key, change in changes.items():
        node = nodes.get(key)
        if node is None or node.waits_outside:
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
    """Begin no more nodes until someone lets it go on; what runs goes on."""
    _check(by, stored, policies.may_act)
    _move(stored, {State.RUNNING}, State.PAUSED, "It can be paused only while it runs.")
    _call_engine(stored, "pause", 1)
    _changed(stored)
    audit(stored, by, "paused")


def unpause(stored: StoredWorkflow, *, by: User | None) -> None:
    """Let a paused workflow go on."""
    _check(by, stored, policies.may_act)
    admission.check_start(stored, by)
    _move(stored, {State.PAUSED}, State.RUNNING, "It is not paused.")
    _call_engine(stored, "pause", 0)
    _changed(stored)
    audit(stored, by, "resumed")


def audit(
    stored: StoredWorkflow, by: User | None, action: str, who: str = "", reason: str = "", outcome: str = ""
) -> None:
    who = by.get_username() if by is not None else who
    if who:  # the machine is no person
        acted.send(
            sender=Job, who=who, action=action, kind="workflow", target=stored.pk, reason=reason, outcome=outcome
        )


def _changed(stored: StoredWorkflow) -> None:
    """Emit that the workflow is in another state, when that is certain."""
    transaction.on_commit(lambda: effects.publish_state(stored.pk, stored.state), robust=True)


def _move(stored: StoredWorkflow, before: Iterable[State], after: State, why: str, **fields: Any) -> None:
    found = StoredWorkflow.objects.filter(pk=stored.pk, state__in=list(before))
    if not found.update(state=after, **fields):
        stored.refresh_from_db(fields=["state"])
        raise NotNow(f"{why} It is {stored.get_state_display().lower()}.")
    stored.state = after
    for name, value in fields.items():
        setattr(stored, name, value)


def _call_engine(stored: StoredWorkflow, script: str, *arguments: Any) -> Any:
    try:
        answer: Any = scripts.run(script, keys.workflow(stored.pk), *arguments)
        if script != "cancel":
            effects.react(stored.pk, answer)
    except (redis.Error, OSError) as error:
        raise EngineUnavailable from error
    return answer


@dataclasses.dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancel did."""

    queued: int  # jobs that will certainly not start
    running: int  # jobs that were asked to stop
    waiting: int  # nodes that had not been started

    def __str__(self) -> str:
        """Say it in one sentence."""
        parts = [f"{self.waiting} node{'s' * (self.waiting != 1)} will not be started"]
        if self.queued:
            parts.append(f"{self.queued} queued job{'s' * (self.queued != 1)} will not start")
        if self.running:
            parts.append(
                f"{self.running} running job{'s' * (self.running != 1)} asked to stop: at the next progress call, or by "
                "ending the process after the grace period"
            )
        return f"{'; '.join(parts)}."


def cancel(stored: StoredWorkflow, *, by: User | None, name: str = "", error: str = "") -> Cancelled:
    """Start nothing more and cancel what is running; return what that meant.

    Nothing begins after the first step in Redis; the numbers are counted in the same steps.
    """
    _check(by, stored, policies.may_act)
    who = by.get_username() if by is not None else name or "Jobroom"
    active = StoredWorkflow.objects.filter(pk=stored.pk).exclude(state__in=FINISHED)
    stored.cancel_by, stored.cancel_at = who, timezone.now()
    if not active.update(cancel_by=who, cancel_at=stored.cancel_at, **({"error": error} if error else {})):
        stored.refresh_from_db(fields=["state"])
        raise NotNow(f"It has ended already: {stored.get_state_display().lower()}.")
    graph = stored.read_graph()
    found, ids = settle_cancelled(stored, error)
    jobs = Job.objects.filter(workflow_id=stored.pk).exclude(node__in=[str(index) for index in graph.handlers])
    jobs.exclude(state__in=JOB_FINISHED).update(cancel_by=who, cancel_at=stored.cancel_at)
    cancel_asked.send(sender=Job, job_ids=ids, waiting=ids)
    audit(stored, by, "cancelled", name, outcome=str(found))
    return found


def settle_cancelled(stored: StoredWorkflow, error: str = "") -> tuple[Cancelled, list[str]]:
    """Let the engine settle all nodes of a cancelled workflow; return how many, and the ids of jobs that will not start."""
    request, words = loader.asked(stored)["asked"], f"Cancelled by {stored.cancel_by} before it started."
    ids: list[str] = []
    index = item = running = waiting = 0
    while index >= 0:
        arguments = (error, request, jobs_settings.CANCEL_KEPT, words, index, item, SETTLED_AT_ONCE)
        index, item, queued, run, wait, answer = _call_engine(stored, "cancel", *arguments)
        ids += [text.decode() if isinstance(text, bytes) else str(text) for text in queued]
        running, waiting = running + run, waiting + wait
        effects.react(stored.pk, answer)
    return Cancelled(queued=len(ids), running=running, waiting=waiting), ids


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
    inputs: Mapping[str, Any] | None = None,
    done: Mapping[str, Any] | None = None,
    again: Iterable[str] = (),
) -> list[Node]:
    """Go on at the nodes that failed, and keep every other result; return the nodes that run again.

    `changes`: new args and kwargs by key of node. `inputs`: other values for what the workflow was launched with; the nodes
    that are given them run again, too. `done`: results by key of nodes that someone has done by hand, or knows
    to be done although their worker vanished; those do not run again. `again`: keys of nodes that run again with all that
    follows them, of a workflow that succeeded too. Raises NotAllowed, NotNow (also behind the history), and WrongFields.
    """
    _check(by, stored, policies.may_act)
    chosen = set(again)
    if stored.state not in (FINISHED if chosen else FINISHED - {State.SUCCESS}):
        why = "Only a workflow that has ended" if chosen else "Only a workflow that failed"
        raise NotNow(f"{why} can be resumed. It is {stored.get_state_display().lower()}.")
    admission.check_start(stored, by)
    graph = stored.read_graph()
    if unknown := chosen - {node.key for node in graph.nodes if node.index not in graph.handlers}:
        raise NotNow(f"There is no node {', '.join(sorted(unknown))} to run again.")
    changes, payload = input_changes.applied(stored, graph, changes or {}, inputs or {}, by)
    apply_changes(graph, changes)
    snapshot = loader.snapshot_of(stored)
    sealed = {key: seal_leaves(value) for key, value in (done or {}).items()}
    decisions = resumption.count_as_done(stored, graph, snapshot, sealed, by)
    kept, nodes = resumption.plan(graph, snapshot, {*changes, *chosen}, set(sealed))
    resumption.check_recorded(stored, graph, kept)
    _check_given(graph, by, changes, done or {}, kept)
    limits.allow_launch(by, f"workflow {stored.name}")
    # After the check, which looks at what is given.
    secrets = secret_arguments.seal(graph, payload)
    now = timezone.now()
    node_states = "".join(str(kept.get(str(node.index), NodeState.WAITING)) for node in graph.nodes)
    fields: dict[str, Any] = {
        "payload": hide(payload, secrets=secrets),
        "epoch": stored.epoch + 1, "graph": graph.dumps(), "error": "", "cancel_by": "", "cancel_at": None,
        "finished_at": None, "idle": stored.idle + (now - (stored.finished_at or now)), "result": None, "deadline_at": now + resumption.allowance(stored),
        "options": {**stored.options, "lives": resumption.lives_of(stored, graph, kept)},
        "decisions": {name: decision for name, decision in decisions.items() if name in kept},  # others are asked again
    }  # fmt: skip
    stored.set_node_states(node_states)
    _move(
        stored, {State(stored.state)}, State.RUNNING, "Someone was faster.",
        node_states=stored.node_states, counts=stored.counts, **fields,
    )  # fmt: skip
    started = {name.partition(".")[0] for name in kept}
    items = {name: count for name, count in snapshot.items.items() if name in started}
    before, snapshot = snapshot, dataclasses.replace(snapshot, node_states=kept, items=items)
    try:
        resumption.want_again(graph, before.node_states, kept)
        loader.load(stored, graph, snapshot)
    except (redis.Error, OSError) as error:
        logger.warning("Workflow %s: Redis is unavailable: %s", stored.pk, error)
    _changed(stored)
    audit(stored, by, "resumed the failed", outcome=f"{len(nodes)} nodes run again.")
    return list(nodes.values())


def _check_given(
    graph: Graph, by: User | None, changes: Mapping[str, Any], done: Mapping[str, Any], kept: Mapping[str, NodeState]
) -> None:
    """Raise WrongFields for what `by` may not give to the nodes that a resume begins."""
    whole = {int(name) for name in kept if name.isdecimal()}
    by_hand = {node.index: done[node.key] for node in graph.nodes if node.key in done}
    admission.check_graph(graph, by, fresh=changes, kept=whole, done=by_hand)


# --- leave the database --------------------------------------------------------------------------------------------------


def cleanup(days: float | None = None) -> int:
    """Delete workflows that ended more than `days` (WORKFLOWS_KEEP_DAYS; 0 keeps all) ago; return how many.

    The jobs of their nodes leave the database by the rules of jobs.
    """
    days = settings.KEEP_DAYS if days is None else days
    if not days:
        return 0
    limit = timezone.now() - timedelta(days=days)
    old = StoredWorkflow.objects.filter(state__in=FINISHED, finished_at__lt=limit)
    pieces = iter(lambda: list(old.values_list("pk", flat=True)[:DELETED_AT_ONCE]), [])
    return sum(old.filter(pk__in=piece).delete()[0] for piece in pieces)
