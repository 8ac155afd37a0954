"""Decides which queues a worker consumes: not those whose resource is missing, nor those that are paused.

Jobs then wait in the queue, where another worker may take them, and other queues go on.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

logger = logging.getLogger(__name__)


class Gate:
    """Takes queues from Celery's consumer and gives them back. Decides anywhere, acts in the consumer's own loop."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.consumer: Any = None
        self.closed: dict[str, Any] = {}  # name → kombu's queue, to be consumed again
        self.paused: frozenset[str] = frozenset()  # as an operator wants it, whether the worker serves them or not
        self.lacking: frozenset[str] = frozenset()  # queues whose resources are not there
        self.quiet = False  # takes nothing at all

    def close_before_start(self, queues: Mapping[str, list[str]]) -> None:
        """Let the consumer begin without `queues` and those that are paused; must be called before it is made."""
        self.lacking = frozenset(queues)
        for name in self.lacking | self.paused:
            self._take(name)

    def open_to(self, closed: Mapping[str, list[str]]) -> None:
        """See to it that all queues but `closed` (name → resources it waits for) are consumed; from any thread."""
        self.lacking = frozenset(closed)
        self._settle()

    def pause(self, queues: Iterable[str]) -> None:
        """See to it that paused queues are not consumed, and others are as far as nothing else is against it; from any thread."""
        self.paused = frozenset(queues)
        self._settle()

    def be_quiet(self, *, quiet: bool) -> None:
        """See to it that nothing is consumed, or everything again that nothing else is against; from any thread."""
        self.quiet = quiet
        self._settle()

    def add(self, name: str) -> None:
        """Consume one more queue, as far as nothing is against it; in the consumer's loop."""
        if name in self.closed:
            return
        self.consumer.add_task_queue(name)
        self._adjust()

    def cancel(self, name: str) -> None:
        """Consume a queue no more; in the consumer's loop."""
        if self.closed.pop(name, None) is None:
            self.consumer.cancel_task_queue(name)

    def _wanted(self) -> set[str]:
        """Return the queues that must not be consumed."""
        every = set(self.app.amqp.queues.consume_from) | set(self.closed) if self.quiet else set()
        return every | self.lacking | self.paused

    def _settle(self) -> None:
        if self.consumer is None:
            return
        wanted = self._wanted()
        if set(self.closed) - wanted or any(name in self.app.amqp.queues.consume_from for name in wanted):
            self.consumer.call_soon(self._adjust)

    def _adjust(self) -> None:
        wanted = self._wanted()
        for name in wanted - set(self.closed):
            if self._take(name):
                # While the connection is made again there is no consumer, and the next one begins without the queue.
                if self.consumer.task_consumer is not None:
                    self.consumer.task_consumer.cancel_by_queue(self.closed[name].name)
                why = "a resource that it needs is not loaded"
                why = (
                    "it is paused" if name in self.paused else "the worker was asked to be quiet" if self.quiet else why
                )
                logger.warning("Queue %s waits: %s", name, why)
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
        logger.info("Queue %s goes on: nothing is against it any more", name)
