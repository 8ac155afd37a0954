"""Repairs what the engine could not see: a worker that was killed at the wrong moment, a Redis that forgot, a node in
a worker without our code. It compares the database, Redis and the broker; everything may be done twice.
"""

import dataclasses
import fnmatch
import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from celery import current_app
from celery.exceptions import WorkerLostError
from django.utils import timezone
from kombu.exceptions import KombuError

from jobroom import bounds, foreign, redis, rounds
from jobroom.celery import known_tasks, losses
from jobroom.conf import settings as common_settings
from jobroom.events import cancellation, consumer
from jobroom.exceptions import RedisUnavailable, WorkerLost
from jobroom.signals import messages_asked
from jobroom.workflows.conf import settings
from jobroom.workflows.engine import effects, keys, loader, scripts
from jobroom.workflows.engine.keys import ENDED, NodeState
from jobroom.workflows.engine.parts import parts_of
from jobroom.workflows.models import State, StoredWorkflow

logger = logging.getLogger(__name__)

# While the history is further behind than this, in seconds, a node that it does not know to have ended may long have.
BEHIND = 5.0
# Workflows that one round looks at.
MOST = 500
# Nodes that are asked for at once.
CHUNK = 1000
# The execution of a job in a worker that does not load this code: it told no one of one.
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
    if not caught_up and consumer.lag().seconds >= BEHIND:
        logger.warning("Looking after workflows waits: the history is behind")
        return 0
    active = StoredWorkflow.objects.filter(state__in=[State.RUNNING, State.PAUSED]).order_by("created_at")[:MOST]
    repaired = 0
    seen = set()
    for stored in active:
        seen.add(stored.pk)
        with rounds.isolated("looking after workflows", f"workflow {stored.pk}"):
            repaired += Round(stored).work()
    _watch.forget(seen)
    return repaired


def told(workflow_id: str, letters: Mapping[str, NodeState]) -> None:
    """Tell the engine of nodes whose jobs have ended by the database: someone else than the job has ended them."""
    ended = {node: letter for node, letter in letters.items() if letter in ENDED}
    if not ended:
        return
    names = list(ended)
    known: Any = redis.client().hmget(keys.workflow(workflow_id, "s"), names)
    for node, letter in zip(names, known, strict=True):
        if letter is not None and letter not in ENDED:
            with rounds.isolated("looking after workflows", f"node {node} of workflow {workflow_id}"):
                _end(workflow_id, node, ended[node])


def _end(workflow_id: str, node: str, letter: NodeState, meta: Mapping[str, Any] | None = None) -> None:
    """End a node in the name of a job that could not: with what Celery keeps of it, or with what the database knows."""
    record = effects.record(workflow_id, node)
    if record is None:
        return
    if letter == NodeState.LOST and _goes_again(workflow_id, node, record):
        return
    job = _job_id(record, node)
    whole, parts = "", dict[str, str]()
    if letter in keys.GOOD:
        parts = parts_of(node, _result(job, meta), _wants(record, node))
        whole = parts.pop(node, "")
    flat = [text for pair in parts.items() for text in pair]
    word = _word(workflow_id, node, letter, job, record, meta) if meta is not None else ""
    answer = scripts.run("end", keys.workflow(workflow_id), node, str(letter), job, word, "", "", 0, whole, *flat)
    effects.react(workflow_id, answer)
    logger.warning("Node %s of workflow %s ended as %s, and it did not say so itself", node, workflow_id, letter.name)


def _letter_of(meta: Mapping[str, Any]) -> NodeState | None:
    """Return how a job has ended by Celery's result, None if it has not."""
    letter = _CELERY.get(meta.get("status", ""))
    return NodeState.LOST if isinstance(meta.get("result"), WorkerLostError | WorkerLost) else letter


def _word(
    workflow_id: str, node: str, letter: NodeState, job: str, record: Mapping[str, Any], meta: Mapping[str, Any]
) -> str:
    """Return the event that the job did not send itself: what Celery keeps of its end, for the database."""
    from jobroom.jobs.models import Job

    execution = Job.objects.filter(pk=job).values_list("execution", flat=True).first()
    event = {"type": "finished", "job": job, "at": redis.now(), "task": record["t"], "state": letter.name.lower()}
    event |= {"execution": execution or ELSEWHERE, "workflow": workflow_id, "node": node}
    result = meta.get("result")
    if letter in keys.GOOD:
        text = json.dumps(result, default=foreign.text_of)
        event |= {"result": text} if len(text) <= settings.RESULT_LIMIT else {}
    else:
        trace = foreign.text_of(meta.get("traceback") or "")
        words = known_tasks.words(result, record["t"])
        event |= {"error": bounds.shorten(words, common_settings.ERROR_LIMIT)}
        event |= {"error_type": foreign.class_name(result)}
        event |= {"traceback": bounds.shorten(trace, common_settings.TRACEBACK_LIMIT)}
    return json.dumps(event)


def _job_id(record: Mapping[str, Any], node: str) -> str:
    _, dot, item = node.partition(".")
    return f"{record['i']}{dot}{item}"


def _wants(record: Mapping[str, Any], node: str) -> list[Any]:
    if "." in node:
        return [()]
    wants = json.loads("{" + record.get("h", "") + "}").get("wants")
    return [()] if wants == 1 else wants or []


def _result(job: str, meta: Mapping[str, Any] | None) -> Any:
    if meta is not None:
        return meta.get("result")
    from jobroom.jobs.models import Job

    return Job.objects.filter(pk=job).values_list("result", flat=True).first()


def _goes_again(workflow_id: str, node: str, record: Mapping[str, Any]) -> bool:
    """Send a lost node again if its task may run twice, and has not lost too many workers; return whether."""
    task = current_app.tasks.get(record["t"])
    if task is None or not task.acks_late:
        return False
    count = losses.note(_job_id(record, node))
    if losses.exhausted(count):
        return False
    _send_again(workflow_id, node, NodeState.RUNNING)
    return True


def _send_again(workflow_id: str, node: str, letter: NodeState) -> None:
    item: Any = ""
    if "." in node:
        head, _, number = node.partition(".")
        record = effects.record(workflow_id, head) or {}
        text: Any = redis.client().hget(keys.workflow(workflow_id, "r"), record.get("o", ""))
        item = json.dumps(json.loads(text)[int(number)]) if text else ""
    answer = scripts.run("resend", keys.workflow(workflow_id), node, str(letter), item)
    effects.react(workflow_id, answer)
    logger.warning("Node %s of workflow %s is sent again", node, workflow_id)


@dataclasses.dataclass(slots=True)
class Seen:
    """A node in one state: since when this process sees it so, and how often its message was missing in a row."""

    letter: str
    since: float
    missing: int = 0


class Watch:
    """Remembers from round to round for how long nodes have been in their state."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Seen]] = {}

    def update(self, workflow_id: str, letters: Mapping[str, str]) -> dict[str, Seen]:
        """Take the states of now; return those nodes that have been as they are for a while."""
        now, before = time.monotonic(), self.seen.get(workflow_id, {})
        found = {}
        for node, letter in letters.items():
            old = before.get(node)
            found[node] = old if old is not None and old.letter == letter else Seen(letter, now)
        self.seen[workflow_id] = found
        return {node: seen for node, seen in found.items() if now - seen.since >= settings.SILENT_AFTER}

    def forget(self, but: set[str]) -> None:
        """Forget the workflows that are not active any more."""
        # What waits for another broker is remembered beside its workflow, as `<id>:o`.
        self.seen = {name: nodes for name, nodes in self.seen.items() if name.partition(":")[0] in but}


_watch = Watch()


class Round:
    """One look at one workflow."""

    def __init__(self, stored: StoredWorkflow) -> None:
        self.stored = stored
        self.key = keys.workflow(stored.pk)
        self.client = redis.client()

    def work(self) -> bool:
        """Repair what is amiss; return whether anything was."""
        state: Any = self.client.hget(self.key, "state")
        if state is None:
            return self._forgotten()
        if state == "LOADED":
            return self._begin_again()
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
        self.stored.epoch += 1
        StoredWorkflow.objects.filter(pk=self.stored.pk).update(epoch=self.stored.epoch)
        logger.warning("Workflow %s is rebuilt from the database", self.stored.pk)
        snapshot = loader.snapshot_of(self.stored)
        loaded = loader.load(self.stored, self.stored.read_graph(), snapshot)
        if loaded and self.stored.cancel_at is not None:
            self._cancel_again(snapshot)
        return loaded

    def _cancel_again(self, snapshot: loader.Snapshot) -> None:
        """Ask once more for the end of the jobs that run: Redis has forgotten that someone has."""
        graph = self.stored.read_graph()
        running = [graph.job_id(node) for node, letter in snapshot.letters.items() if letter == NodeState.RUNNING]
        cancellation.request_all(running, self.stored.cancel_by)

    def _begin_again(self) -> bool:
        if self.client.exists(keys.workflow(self.stored.pk, "l")):
            return False
        return loader.load(self.stored, self.stored.read_graph(), loader.snapshot_of(self.stored))

    def _end_unknown(self, state: str) -> bool:
        """The engine has ended it, and the word of it was lost: tell the database again, after it had time to arrive."""
        if f"end:{state}" not in _watch.update(self.stored.pk, {f"end:{state}": state}):
            return False
        from jobroom.workflows import receivers

        receivers.ended(self.stored.pk, {"state": state, "at": redis.now(), "epoch": self.stored.epoch, "result": None})
        return True

    def _half_cancelled(self) -> bool:
        """Settle what the process that cancelled the workflow was killed before: what is queued, waits or is held."""
        letters: Any = self.client.hvals(keys.workflow(self.stored.pk, "s"))
        if (
            not {NodeState.QUEUED, NodeState.HELD, NodeState.APPROVAL, NodeState.EVENT}.intersection(letters)
            and len(letters) >= self.stored.total
        ):
            return False
        if "cancelled" not in _watch.update(f"{self.stored.pk}:c", {"cancelled": "c"}):
            return False
        from jobroom.workflows import services

        services.settle_cancelled(self.stored)
        return True

    def _overdue(self) -> bool:
        from jobroom.workflows import services

        services.give_up(self.stored, "The workflow was processed for too long.")
        return True

    def _unsent(self) -> bool:
        """Send messages that a killed worker should have sent to another broker."""
        names: Any = self.client.smembers(keys.workflow(self.stored.pk, "o"))
        waiting = _watch.update(f"{self.stored.pk}:o", {str(name): "o" for name in names})
        for node in waiting:
            effects.send(self.stored.pk, node)
        return bool(waiting)

    def _open_nodes(self) -> bool:
        """Look at nodes that have been running for a while without a word."""
        letters: Any = self.client.hgetall(keys.workflow(self.stored.pk, "s"))
        open_nodes = {
            node: letter
            for node, letter in letters.items()
            if letter in {NodeState.QUEUED, NodeState.RUNNING, NodeState.EXPANDING, NodeState.APPROVAL, NodeState.EVENT}
        }
        quiet = _watch.update(self.stored.pk, open_nodes)
        by_letter: dict[str, list[str]] = {}
        for node, seen in quiet.items():
            by_letter.setdefault(seen.letter, []).append(node)
        for node in by_letter.get(NodeState.EXPANDING, ()):
            effects.expand_fan_out(self.stored.pk, node)
        overdue = self._overdue_nodes([*by_letter.get(NodeState.APPROVAL, ()), *by_letter.get(NodeState.EVENT, ())])
        sent = [*by_letter.get(NodeState.QUEUED, ()), *by_letter.get(NodeState.RUNNING, ())]
        ended = self._ended_elsewhere(sent)
        missing = self._missing([node for node in by_letter.get(NodeState.QUEUED, ()) if node not in ended], quiet)
        return bool(overdue or ended or missing)

    def _overdue_nodes(self, nodes: Sequence[str]) -> list[str]:
        """End what waits for someone or something outside and has waited too long."""
        from jobroom.workflows import arrivals

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
                letter = _letter_of(meta or {})
                if letter is not None and not self._told_by_database(node, records[node.partition(".")[0]]):
                    _end(self.stored.pk, node, letter, meta)
                    ended.add(node)
        return ended

    def foreign_ends(self) -> set[str]:
        """End nodes in workers that do not load this code as soon as Celery's results know how they ended."""
        letters: Any = self.client.hgetall(keys.workflow(self.stored.pk, "s"))
        sent = [node for node, letter in letters.items() if letter in {NodeState.QUEUED, NodeState.RUNNING}][:CHUNK]
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

    def _told_by_database(self, node: str, record: Mapping[str, Any]) -> bool:
        """Return whether the job is not over by the database, as a retry is on its way: Celery keeps the last failure."""
        from jobroom.jobs.models import ACTIVE, Job

        job = Job.objects.filter(pk=_job_id(record, node)).values_list("state", "attempts").first()
        return (
            job is not None and job[0] in ACTIVE and job[1] > 0 and bool(record.get("h", "").find("retry_policy") >= 0)
        )

    def _is_foreign(self, record: Mapping[str, Any]) -> bool:
        """Return whether the node lives in other workers: they do not say that they have started it, so it never goes twice.

        That this process does not know the task says nothing: who wrote the workflow knew it, or had to name it.
        """
        return any(fnmatch.fnmatch(record["t"], name) for name in self.stored.options.get("external") or ())

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
            _send_again(self.stored.pk, node, NodeState.QUEUED)
        return gone
