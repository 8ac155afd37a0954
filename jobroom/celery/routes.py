"""The queue of a task when no one chooses one: its own, else the project's route, else the default."""

from typing import Any

from celery import current_app


def queue_of(name: str) -> str:
    """Return the queue to which Celery sends the task of that name, which need not be known here."""
    return routed(name, getattr(current_app.tasks.get(name), "queue", None))


def routed(name: str, own: Any = None) -> str:
    """Return the queue of a call, as Celery finds it: the task's `own`, else the project's route, else the default."""
    queue = current_app.amqp.router.route({"queue": own} if own else {}, name).get("queue")
    return str(getattr(queue, "name", queue) or current_app.conf.task_default_queue)
