"""Which queues a worker consumes: not those that need a resource which it does not have.

Jobs then wait in the queue, where another worker may take them, and other queues go on.
"""

import logging
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)


class Gate:
    """Takes queues from Celery's consumer and gives them back. Decides anywhere, acts in the consumer's own loop."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.consumer: Any = None
        self.closed: dict[str, Any] = {}  # name → kombu's queue, to be consumed again

    def close_before_start(self, queues: Mapping[str, list[str]]) -> None:
        """Let the consumer begin without `queues`; must be called before it is made."""
        for name in queues:
            self._take(name)

    def open_to(self, closed: Mapping[str, list[str]]) -> None:
        """See to it that all queues but `closed` (name → resources it waits for) are consumed; from any thread."""
        if self.consumer is not None and set(closed) != set(self.closed):
            self.consumer.call_soon(self._adjust, set(closed))

    def _adjust(self, wanted: set[str]) -> None:
        for name in wanted - set(self.closed):
            if self._take(name):
                # While the connection is made anew there is no consumer, and the next one begins without the queue.
                if self.consumer.task_consumer is not None:
                    self.consumer.task_consumer.cancel_by_queue(self.closed[name].name)
                logger.warning("Queue %s waits: a resource that it needs is not loaded", name)
        for name in set(self.closed) - wanted:
            self._give_back(name)

    def _take(self, name: str) -> bool:
        queue = self.app.amqp.queues.consume_from.get(name)
        if queue is None:
            return False
        self.closed[name] = queue
        self.app.amqp.queues.deselect(name)
        return True

    def _give_back(self, name: str) -> None:
        queue = self.closed.pop(name)
        self.app.amqp.queues.select_add(queue)
        consumer = self.consumer.task_consumer
        if consumer is not None and not consumer.consuming_from(queue.name):
            consumer.add_queue(queue)
            consumer.consume()
        logger.info("Queue %s goes on: its resources are loaded", name)
