"""How this app publishes: as Celery does, but what is due later is kept until its time, see `jobroom.celery.delayed`."""

from typing import Any

from celery.app.amqp import AMQP as CeleryAMQP

from jobroom.celery import delayed
from jobroom.conf import settings


class Keeper:
    """Stands for a producer for the length of one call: what it is to publish is kept."""

    def __init__(self, producer: Any, due: float) -> None:
        self._producer = producer
        self._due = due

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def publish(self, body: Any, **options: Any) -> Any:
        """Keep the message; what cannot be written down is published at once, and a worker holds it."""
        if delayed.keep(self._due, body, options):
            return None
        return self._producer.publish(body, **options)


class AMQP(CeleryAMQP):
    """Celery's, with a sender that keeps messages for later: `delay`, `apply_async`, retries and beat all use it."""

    def _create_task_sender(self) -> Any:
        send = super()._create_task_sender()  # type: ignore[misc]

        def send_task_message(producer: Any, name: str, message: Any, *arguments: Any, **options: Any) -> Any:
            due = delayed.due_at(message[0].get("eta"), self.app)
            if due is not None and delayed.is_late(due):
                producer = Keeper(producer, due)
            # RabbitMQ says when it has the message; on a connection that is dead it never would.
            options["confirm_timeout"] = options.get("confirm_timeout") or settings.PUBLISH_TIMEOUT
            return send(producer, name, message, *arguments, **options)

        return send_task_message
