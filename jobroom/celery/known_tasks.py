"""Which workers know a task: each worker registers its tasks when it is ready."""

import json
import logging
from typing import Any

from celery import signals
from celery.exceptions import NotRegistered

from jobroom import redis, safe_text
from jobroom.events import heartbeat

logger = logging.getLogger(__name__)

# Seconds for which the word of a worker is kept; only those of living workers are read.
KEPT = 30 * 24 * 3600


def _key(instance: str) -> str:
    return redis.key("worker-tasks", instance)


def announce(sender: Any, **_: Any) -> None:
    """Say which tasks this worker knows."""
    names = sorted(name for name in sender.app.tasks if not name.startswith("celery."))
    try:
        redis.client().set(_key(heartbeat.instance()), json.dumps(names), ex=KEPT)
    except (redis.Error, OSError) as error:
        logger.warning("No one learns which tasks this worker knows: %s", error)


def those_who_know(task: str) -> list[heartbeat.Worker]:
    """Return the living workers that know the task; raises the errors of Redis."""
    living = [worker for worker in heartbeat.workers() if worker.alive]
    texts: Any = redis.client().mget([_key(worker.instance) for worker in living]) if living else []
    return [worker for worker, text in zip(living, texts, strict=True) if text and task in json.loads(text)]


def words(error: Any, task: str) -> str:
    """Return the text of an error of Celery's result; where a foreign worker did not know the task, what to do."""
    text = safe_text.error_text(error)
    if not isinstance(error, NotRegistered) or " knows the task " in text or " know the task " in text:
        return text
    return unknown_task(task, "")


def unknown_task(task: str, queue: str) -> str:
    """Return the sentence about a task that the worker which got its message does not know; `queue` may be unknown: empty."""
    of_queue = f"No worker of queue {queue}" if queue else "No worker of its queue"
    try:
        found = those_who_know(task)
    except (redis.Error, OSError):
        return f"{of_queue} that was asked knows the task {task}."
    served = [worker for worker in found if queue in worker.queues]
    names = ", ".join(f"{worker.name} (queue {', '.join(worker.queues)})" for worker in found)
    if served:
        return (
            f"A worker of queue {queue} does not know the task {task}; these do: {names}. Restart it with their code."
        )
    if found:
        return f"{of_queue} knows the task {task}; these do: {names}."
    return f"{of_queue} knows the task {task}, nor does any other. Deploy its code, then run the job again."


def connect() -> None:
    """Connect to the worker's life; twice is the same as once."""
    signals.worker_ready.connect(announce, dispatch_uid="jobroom.celery.known_tasks")
