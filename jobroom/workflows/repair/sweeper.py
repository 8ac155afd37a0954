"""Repairs what the engine could not see: a worker that was killed at the wrong moment, a Redis that forgot, a node in
a worker without our code. It compares the database, Redis and the broker; everything may be done twice.
"""

import fnmatch
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from celery import current_app
from celery.exceptions import WorkerLostError
from django.utils import timezone
from kombu.exceptions import KombuError

from jobroom import housekeeping_loops, redis, safe_text, truncation
from jobroom.celery import known_tasks, redeliveries
from jobroom.conf import settings as common_settings
from jobroom.events import cancellation, consumer
from jobroom.exceptions import RedisUnavailable, WorkerLost
from jobroom.jobs.models import ACTIVE, Job
from jobroom.jobs.models import State as JobState
from jobroom.signals import messages_asked
from jobroom.workflows import arrivals, exports, resumption, services, store
from jobroom.workflows.conf import settings
from jobroom.workflows.engine import effects, keys, loader, scripts
from jobroom.workflows.engine.keys import ENDED, NodeState
from jobroom.workflows.engine.parts import parts_of, parts_of_item
from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.graph import Graph
from jobroom.workflows.models import State, StoredWorkflow
from jobroom.workflows.repair.suspects import Seen, Suspects
from jobroom.workflows.workflows import Workflow

logger = logging.getLogger(__name__)

# Workflows that one round looks at.
MOST = 500
# Nodes that are asked for at once.
CHUNK = 1000
# The execution of a job in a worker that does not load this code: it reports none.
ELSEWHERE = "elsewhere"
_CELERY = {"SUCCESS": NodeState.SUCCEEDED, "FAILURE": NodeState.FAILED, "REVOKED": NodeState.CANCELLED}


def safely() -> None:
    """Do a round as a housekeeping chore: what is out of reach now is tried again at the next one."""
    try:
        sweep(caught_up=True)
    except (redis.Error, RedisUnavailable, KombuError, OSError) as error:
        logger.warning("Workflow sweeper: Redis is unavailable: %s", error)


def sweep(*, caught_up: bool = False) -> int:
    """Look after every active workflow once; return how many were repaired.

    Nothing is done while old events are unread; `caught_up` says that the caller has looked.
    """
    if not caught_up and consumer.lag().is_late:
        logger.warning("Looking after workflows waits: the history is behind")
        return 0
    active = StoredWorkflow.objects.filter(state__in=[State.RUNNING, State.PAUSED]).order_by("created_at")[:MOST]
    repaired = 0
    seen = set()
    for stored in active:
        seen.add(stored.pk)
        with housekeeping_loops.isolated("looking after workflows", f"workflow {stored.pk}"):
            repaired += Round(stored).work()
    _suspects.forget(seen)
    return repaired


def confirm_ends(workflow_id: str, node_states: Mapping[str, NodeState], epoch: int) -> None:
    """Inform the engine of nodes whose jobs have ended by the database: someone else than the job has ended them.

    `epoch` is the life of the workflow to which this belongs: it may be resumed before the engine hears of it.
    """
    ended = {node: node_state for node, node_state in node_states.items() if node_state in ENDED}
    if not ended:
        return
    names = list(ended)
    known: Any = redis.client().hmget(keys.workflow(workflow_id, "s"), names)
    for node, node_state in zip(names, known, strict=True):
        if node_state is not None and node_state not in ENDED:
            with housekeeping_loops.isolated("looking after workflows", f"node {node} of workflow {workflow_id}"):
                _end(workflow_id, node, ended[node], epoch)


def _end(workflow_id: str, node: str, node_state: NodeState, epoch: int, meta: Mapping[str, Any] | None = None) -> None:
    """End a node in the name of a job that could not: with what Celery keeps of it, or with what the database knows."""
    record = effects.record(workflow_id, node)
    if record is None:
        return
    if node_state == NodeState.LOST and _goes_again(workflow_id, node, record, epoch):
        return
    job = _job_id(record, node)
    whole, parts = "", dict[str, str]()
    if node_state in keys.GOOD:
        cut = parts_of_item if "." in node else parts_of
        parts = cut(node, _result(job, meta), _wants(record))
        whole = parts.pop(node, "")
    flat = [text for pair in parts.items() for text in pair]
    word = _word(workflow_id, node, node_state, job, record, meta) if meta is not None else ""
    key = keys.workflow(workflow_id)
    answer = scripts.run("end", key, node, str(node_state), job, word, "", epoch or "", 0, whole, *flat)
    effects.react(workflow_id, answer)
    logger.warning(
        "Node %s of workflow %s ended as %s, and it did not say so itself", node, workflow_id, node_state.name
    )


def _state_of(meta: Mapping[str, Any]) -> NodeState | None:
    """Return how a job has ended by Celery's result, None if it has not."""
    node_state = _CELERY.get(meta.get("status", ""))
    return NodeState.LOST if isinstance(meta.get("result"), WorkerLostError | WorkerLost) else node_state


def _word(
    workflow_id: str, node: str, node_state: NodeState, job: str, record: Mapping[str, Any], meta: Mapping[str, Any]
) -> str:
    """Return the event that the job did not send itself: what Celery keeps of its end, for the database."""
    execution = Job.objects.filter(pk=job).values_list("execution", flat=True).first()
    event = {"type": "finished", "job": job, "at": redis.now(), "task": record["t"], "state": node_state.name.lower()}
    event |= {"execution": execution or ELSEWHERE, "workflow": workflow_id, "node": node}
    result = meta.get("result")
    if node_state in keys.GOOD:
        text = json.dumps(result, default=safe_text.text_of)
        event |= {"result": text} if len(text) <= settings.RESULT_LIMIT else {}
    else:
        trace = safe_text.text_of(meta.get("traceback") or "")
        words = known_tasks.words(result, record["t"])
        event |= {"error": truncation.shorten(words, common_settings.ERROR_LIMIT)}
        event |= {"error_type": safe_text.class_name(result)}
        event |= {"traceback": truncation.shorten(trace, common_settings.TRACEBACK_LIMIT)}
    return json.dumps(event)


def _job_id(record: Mapping[str, Any], node: str) -> str:
    _, dot, item = node.partition(".")
    return f"{record['i']}{dot}{item}"


def _wants(record: Mapping[str, Any]) -> list[Any]:
    wants = json.loads("{" + record.get("h", "") + "}").get("wants")
    return [()] if wants == 1 else wants or []


def _result(job: str, meta: Mapping[str, Any] | None) -> Any:
    if meta is not None:
        return meta.get("result")
    return Job.objects.filter(pk=job).values_list("result", flat=True).first()


def _goes_again(workflow_id: str, node: str, record: Mapping[str, Any], epoch: int) -> bool:
    """Send a lost node again if its task may run twice, and has not lost too many workers; return whether."""
    task = current_app.tasks.get(record["t"])
    if task is None or not task.acks_late:
        return False
    count = redeliveries.note(_job_id(record, node))
    if redeliveries.exhausted(count):
        return False
    _send_again(workflow_id, node, NodeState.RUNNING, epoch)
    return True


def _send_again(workflow_id: str, node: str, node_state: NodeState, epoch: int) -> None:
    item: Any = ""
    if "." in node:
        head, _, number = node.partition(".")
        record = effects.record(workflow_id, head) or {}
        text: Any = redis.client().hget(keys.workflow(workflow_id, "r"), record.get("o", ""))
        item = json.dumps(json.loads(text)[int(number)]) if text else ""
    answer = scripts.run("resend", keys.workflow(workflow_id), node, str(node_state), item, epoch or "")
    effects.react(workflow_id, answer)
    logger.warning("Node %s of workflow %s is sent again", node, workflow_id)


_suspects = Suspects()


class Round:
    """One look at one workflow."""

    def __init__(self, stored: StoredWorkflow) -> None:
        self.stored = stored
        self.key = keys.workflow(stored.pk)
        self.client = redis.client()

    def work(self) -> bool:
        """Repair what is amiss; return whether anything was."""
        found: Any = self.client.hmget(self.key, "state", "epoch")
        state, epoch = found[0], int(found[1] or 0)
        if state is None:
            return self._forgotten()
        if epoch < self.stored.epoch:
            return self._resume_lost(epoch)
        # Who made it again was killed before the database knew, or this row is older than what was found.
        if epoch > self.stored.epoch and not self._has_epoch(epoch):
            return False
        if state != "RUNNING":
            return self._end_unknown(str(state))
        if self.stored.deadline_at is not None and timezone.now() > self.stored.deadline_at:
            return self._overdue()
        if self.stored.cancel_at is not None and self._half_cancelled():
            return True
        return any([self._unsent(), self._open_nodes()])

    def _forgotten(self) -> bool:
        """Make everything again from the database: Redis was emptied, or no one came to begin the workflow."""
        if timezone.now().timestamp() - self.stored.started_at.timestamp() < settings.SILENT_AFTER:  # type: ignore[union-attr]
            return False  # it is being started
        before, self.stored.epoch = self.stored.epoch, self.stored.epoch + 1
        if not self._load(missing=True):
            self.stored.epoch = before
            return False
        logger.warning("Workflow %s is rebuilt from the database", self.stored.pk)
        StoredWorkflow.objects.filter(pk=self.stored.pk, epoch=before).update(epoch=self.stored.epoch)
        return True

    def _resume_lost(self, epoch: int) -> bool:
        """Start a life that was resumed by a process that was killed before it came to Redis, or while Redis was away."""
        if "epoch" not in _suspects.update(f"{self.stored.pk}:e", {"epoch": str(epoch)}):
            return False  # it is being resumed
        logger.warning("Workflow %s was resumed and not started: it is started now", self.stored.pk)
        return self._load()

    def _load(self, *, missing: bool = False) -> bool:
        """Put it into Redis as the database knows it; return whether that was done, see `loader.load`."""
        graph, snapshot = self.stored.read_graph(), loader.snapshot_of(self.stored)
        # Who resumed it may have been killed before that; nothing else leaves jobs that do not count.
        nodes = Job.objects.filter(workflow_id=self.stored.pk).values_list("node", flat=True)
        resumption.want_again(graph, nodes, snapshot.node_states)
        loaded = loader.load(self.stored, graph, snapshot, missing=missing)
        if loaded and self.stored.cancel_at is not None:
            self._cancel_again(graph, snapshot)
        return loaded

    def _has_epoch(self, epoch: int) -> bool:
        """Give the row the epoch that Redis has; return False where it has changed since it was read."""
        rows = StoredWorkflow.objects.filter(pk=self.stored.pk, epoch=self.stored.epoch)
        self.stored.epoch = epoch
        return bool(rows.update(epoch=epoch))

    def _cancel_again(self, graph: Graph, snapshot: loader.Snapshot) -> None:
        """Ask once more for the end of the jobs that run: Redis has forgotten that someone has."""
        running = [
            graph.job_id(node) for node, node_state in snapshot.node_states.items() if node_state == NodeState.RUNNING
        ]
        cancellation.request_all(running, self.stored.cancel_by)

    def _end_unknown(self, state: str) -> bool:
        """The engine has ended it, and the word of it was lost: report it to the database again, after it had time to arrive."""
        if f"end:{state}" not in _suspects.update(self.stored.pk, {f"end:{state}": state}):
            return False
        store.ended(self.stored.pk, {"state": state, "at": redis.now(), "epoch": self.stored.epoch, "result": None})
        return True

    def _half_cancelled(self) -> bool:
        """Settle what the process that cancelled the workflow was killed before: what is queued, waits or is held."""
        node_states: Any = self.client.hvals(keys.workflow(self.stored.pk, "s"))
        if (
            not {NodeState.QUEUED, NodeState.HELD, NodeState.APPROVAL, NodeState.EVENT}.intersection(node_states)
            and len(node_states) >= self.stored.total
        ):
            return False
        if "cancelled" not in _suspects.update(f"{self.stored.pk}:c", {"cancelled": "c"}):
            return False
        services.settle_cancelled(self.stored)
        return True

    def _overdue(self) -> bool:
        services.give_up(self.stored, "The workflow was processed for too long.")
        return True

    def _unsent(self) -> bool:
        """Send messages that a killed worker should have sent to another broker."""
        names: Any = self.client.smembers(keys.workflow(self.stored.pk, "o"))
        waiting = _suspects.update(f"{self.stored.pk}:o", {str(name): "o" for name in names})
        for node in waiting:
            effects.send(self.stored.pk, node)
        return bool(waiting)

    def _open_nodes(self) -> bool:
        """Look at nodes that have been running for a while without a word."""
        node_states: Any = self.client.hgetall(keys.workflow(self.stored.pk, "s"))
        open_nodes = {
            node: node_state
            for node, node_state in node_states.items()
            if node_state
            in {NodeState.QUEUED, NodeState.RUNNING, NodeState.EXPANDING, NodeState.APPROVAL, NodeState.EVENT}
        }
        quiet = _suspects.update(self.stored.pk, open_nodes)
        by_state: dict[str, list[str]] = {}
        for node, seen in quiet.items():
            by_state.setdefault(seen.node_state, []).append(node)
        for node in by_state.get(NodeState.EXPANDING, ()):
            effects.expand_fan_out(self.stored.pk, node)
        overdue = self._overdue_nodes([*by_state.get(NodeState.APPROVAL, ()), *by_state.get(NodeState.EVENT, ())])
        sent = [*by_state.get(NodeState.QUEUED, ()), *by_state.get(NodeState.RUNNING, ())]
        ended = self._ended_elsewhere(sent)
        waiting = [*by_state.get(NodeState.QUEUED, ()), *self._put_back(by_state.get(NodeState.RUNNING, ()))]
        missing = self._missing([node for node in waiting if node not in ended], quiet)
        return bool(overdue or ended or missing)

    def _overdue_nodes(self, nodes: Sequence[str]) -> list[str]:
        """End what waits for someone or something outside and has waited too long."""
        graph = self.stored.read_graph() if nodes else None
        return [node for node in nodes if graph and arrivals.overdue(self.stored, graph.nodes[int(node)])]

    def _records(self, nodes: list[str]) -> dict[str, dict[str, Any]]:
        heads = list({node.partition(".")[0] for node in nodes})
        texts: Any = self.client.hmget(keys.workflow(self.stored.pk, "g"), heads) if heads else []
        return {head: json.loads(text) for head, text in zip(heads, texts, strict=True) if text}

    def _ended_elsewhere(self, nodes: list[str]) -> set[str]:
        """End nodes whose end Celery knows: their workers do not load this code, or were killed before the last word."""
        records = self._records(nodes)
        ended = set()
        for start in range(0, len(nodes), CHUNK):
            chunk = [node for node in nodes[start : start + CHUNK] if node.partition(".")[0] in records]
            for node, meta in zip(chunk, self._metas(chunk, records), strict=True):
                node_state = _state_of(meta or {})
                if node_state is not None and not self._goes_on_by_database(node, records[node.partition(".")[0]]):
                    _end(self.stored.pk, node, node_state, self.stored.epoch, meta)
                    ended.add(node)
        return ended

    def foreign_ends(self) -> set[str]:
        """End nodes in workers that do not load this code as soon as Celery's results know how they ended."""
        node_states: Any = self.client.hgetall(keys.workflow(self.stored.pk, "s"))
        sent = [
            node for node, node_state in node_states.items() if node_state in {NodeState.QUEUED, NodeState.RUNNING}
        ][:CHUNK]
        records = self._records(sent)
        foreign = [node for node in sent if self._is_foreign(records.get(node.partition(".")[0], {"t": ""}))]
        return self._ended_elsewhere(foreign)

    def _metas(self, nodes: list[str], records: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any] | None]:
        backend: Any = current_app.backend
        ids = [_job_id(records[node.partition(".")[0]], node) for node in nodes]
        if not ids or not hasattr(backend, "mget"):
            return [None] * len(nodes)
        found = backend.mget([backend.get_key_for_task(job) for job in ids])
        return [backend.decode_result(text) if text else None for text in found]

    def _goes_on_by_database(self, node: str, record: Mapping[str, Any]) -> bool:
        """Return whether the job is not over by the database, as a retry is on its way: Celery keeps the last failure."""
        job = Job.objects.filter(pk=_job_id(record, node)).values_list("state", "attempts").first()
        return (
            job is not None and job[0] in ACTIVE and job[1] > 0 and bool(record.get("h", "").find("retry_policy") >= 0)
        )

    def _is_foreign(self, record: Mapping[str, Any]) -> bool:
        """Return whether the node lives in other workers: they do not say that they have started it, so it never goes twice.

        That this process does not know the task says nothing: who wrote the workflow knew it, or had to name it.
        """
        return any(fnmatch.fnmatch(record["t"], name) for name in self.stored.options.get("external") or ())

    def _put_back(self, nodes: Sequence[str]) -> list[str]:
        """Return those of the running nodes whose process was killed and whose message went back: only the job knows."""
        jobs = Job.objects.filter(workflow_id=self.stored.pk, node__in=nodes, state=JobState.RETRYING)
        return list(jobs.values_list("node", flat=True)) if nodes else []

    def _missing(self, nodes: list[str], quiet: Mapping[str, Seen]) -> list[str]:
        """Send nodes again whose messages no one has: lost between the broker's list and a worker that was killed."""
        records = self._records(nodes)
        queues = {str(record["n"]) for record in records.values() if "n" in record}
        if not nodes or not queues:
            return []
        answers = [ids for _, ids in messages_asked.send(sender=Round, queues=queues) if ids is not None]
        if not answers:
            return []
        known = set().union(*answers)
        gone = []
        for node in nodes:
            record = records.get(node.partition(".")[0])
            if record is None or _job_id(record, node) in known or self._is_foreign(record):
                quiet[node].missing = 0
                continue
            quiet[node].missing += 1
            if quiet[node].missing > 1:
                quiet[node].missing = 0
                gone.append(node)
        for node in gone:
            _send_again(self.stored.pk, node, NodeState(quiet[node].node_state), self.stored.epoch)
        return gone


def look_after(workflow: Workflow) -> bool:
    """Do a round of the sweeper for one workflow and let the written one know how far it is; return whether it goes on."""
    stored = StoredWorkflow.objects.filter(pk=workflow.id or "").first()
    if stored is None:
        raise WorkflowException(f"{workflow!r} was not sent yet. Call `apply_async` first.")
    if not stored.is_finished:
        Round(stored).work()
        stored.refresh_from_db()
    exports.learn(workflow, stored)
    return not stored.is_finished
