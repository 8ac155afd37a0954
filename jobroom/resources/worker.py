"""Resources in Celery's worker: who loads what and when, in each kind of pool.

Threads, solo and gevent run jobs in the worker's own process: it loads, in the background, and consumes the queues once
it has what they need. Prefork: a shared resource is loaded in the main process before it forks; any other in each child,
before the pool gives it work, so a child that replaces another has it too.
"""

import gc
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from billiard import get_start_method
from celery import signals
from celery.concurrency import get_implementation

from jobroom.celery import pauses, worker_commands
from jobroom.conf import settings
from jobroom.events import heartbeat
from jobroom.resources import access
from jobroom.resources.declaration import Resource
from jobroom.resources.gate import Gate
from jobroom.resources.instance import Held, State
from jobroom.resources.registry import served_by
from jobroom.resources.report import together
from jobroom.resources.shared_state import SharedState
from jobroom.resources.upkeep import TICK, Keeper
from jobroom.resources.warmup import warm_connections, warm_schemas

logger = logging.getLogger(__name__)


class WorkerResources:
    """All that a worker's main process knows of its resources. Pool processes are forked with it."""

    def __init__(self, controller: Any) -> None:
        self.controller = controller
        self.app = controller.app
        self.queues = list(self.app.amqp.queues.consume_from)
        self.forks = _is_prefork(controller)
        # Processes that are not forked know nothing of this one: each loads at its first job.
        self.planned = served_by(self.queues) if not self.forks or get_start_method() == "fork" else []
        own = [made for made in self.planned if not self.forks or self._by_fork(made)]
        self.own = {made.name: Held(made) for made in own}  # in this process
        self.board = SharedState() if self.forks else None
        self.generation = 0
        self.shown: dict[str, Any] = {}  # what children inherit now
        self.gate = Gate(self.app)
        self.keeper = Keeper(self.own.values(), after=self.settle)

    def _by_fork(self, made: Resource[Any]) -> bool:
        """Return whether children get it from the main process; only the pool that runs in an event loop can renew it."""
        return made.share and bool(self.controller.use_eventloop)

    def prepare(self) -> None:
        """Do what must be done before the pool starts."""
        heartbeat.extra = self.describe
        pauses.begin(self.gate.pause)
        if not self.planned:
            self.gate.close_before_start({})
            return
        warm_schemas(self.app, [made.name for made in self.planned])
        if self.forks:
            self._prepare_fork()
        else:
            access.held.update(self.own)
            warm_connections(self.app)
            self.keeper.start()
        self.gate.close_before_start(self.waiting())

    def _prepare_fork(self) -> None:
        # Celery kills a child that is not up in time, and it is not before it has loaded.
        conf = self.app.conf
        conf.worker_proc_alive_timeout = max(conf.worker_proc_alive_timeout, settings.RESOURCE_LOAD_LIMIT)
        if not self.own:
            return
        from celery.concurrency.asynpool import AsynPool

        from jobroom.resources.pool_process import Child

        AsynPool.Worker = Child
        heartbeat.begin(self.controller)
        with _ending_on_signals():
            for held in self.own.values():
                held.load()
        self._share()

    def _share(self) -> None:
        """Make new children inherit what is loaded now; older ones end when they see the generation."""
        gc.collect()
        gc.freeze()  # a collection in a child would write into every page that holds an object
        self.shown = {name: held.loaded for name, held in self.own.items()}
        self.generation += 1

    def begin(self, consumer: Any) -> None:
        """Go on with a consumer that is ready; after a lost connection it is a new one."""
        self.gate.consumer = consumer
        worker_commands.begin(self.gate, consumer)
        if self.planned and not self.keeper.is_alive():
            self.keeper.start()

    def settle(self) -> None:
        """After each round of the keeper: pass on what is new, and open or close queues."""
        if self.board is not None and self.own:
            if any(held.loaded is not self.shown.get(name) for name, held in self.own.items()):
                self._share()
            self.board.generation = self.generation
        self.gate.open_to(self.waiting())

    def waiting(self) -> dict[str, list[str]]:
        """Return the queues that cannot be consumed now, each with the resources that it waits for."""
        missing = [made for made in self.planned if made.holds == "queues" and not self._available(made)]
        found = {queue: [made.name for made in missing if queue in made.queues] for queue in self.queues}
        return {queue: names for queue, names in found.items() if names}

    def _available(self, made: Resource[Any]) -> bool:
        if made.name in self.own:
            return self.own[made.name].available
        states = [row["state"] for rows in self._children().values() for row in rows if row["name"] == made.name]
        return State.FAILED not in states and bool({State.READY, State.UNLOADED} & set(states))

    def _children(self) -> dict[int, list[dict[str, Any]]]:
        """Return what each living child says of its resources."""
        if self.board is None or getattr(self.controller, "pool", None) is None:
            return {}
        with suppress(AttributeError):  # a pool that has not started has no processes
            return self.board.read(set(self.controller.pool.info["processes"]))
        return {}

    def describe(self) -> dict[str, Any]:
        """Return what the heartbeat reports: every resource once, and which queues wait for which."""
        said = list(self._children().values())
        rows = [
            together(made, self.own[made.name].describe() if made.name in self.own else None,
                     [row for rows in said for row in rows if row["name"] == made.name])
            for made in self.planned
        ]  # fmt: skip
        waiting = self.waiting()
        closed = list(self.gate.closed)
        return {
            "resources": rows,
            "waiting": {name: waiting.get(name, []) for name in closed if name in self.gate.lacking},
            "closed": closed,
            "quiet": self.gate.quiet,
            "paused": sorted(name for name in closed if name in self.gate.paused),
            "paused_tasks": sorted(pauses.tasks()),
        }

    def be_child(self) -> None:
        """In a pool process: take what was inherited, load the rest, and return when the child may take work."""
        from jobroom.resources import pool_process

        assert self.board is not None  # noqa: S101 — only pools that fork have children
        pool_process.note_fork(self.board, self.generation)
        Held.turn = threading.RLock()  # the parent's keeper may have held it
        access.held.clear()
        place, pid = pool_process.place(), os.getpid()
        board = self.board

        def report() -> None:
            board.write(place, pid, [held.describe() for held in list(access.held.values())])

        for made in self.planned:
            access.held[made.name] = held = Held(made, report)
            if made.name in self.own:
                held.inherit(self.own[made.name].loaded, self.own[made.name].error)
        report()
        keeper = Keeper(access.held.values())
        keeper.start()
        warm_connections(self.app)
        while not keeper.tried.wait(TICK):
            if board.closing:
                os._exit(0)  # the pool waits for its children before it ends, and this one has no work


def _is_prefork(controller: Any) -> bool:
    """Return whether jobs run in pool processes."""
    return bool(get_implementation(controller.pool_cls).__module__ == "celery.concurrency.prefork")


class _Terminated(BaseException):
    """The process was asked to end; no loader's error, so that no one takes it for one."""


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """End the process in order when it is asked to while it loads: Celery has no handlers yet."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except _Terminated:
        raise SystemExit(0) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_worker: WorkerResources | None = None


def _prepare(instance: Any, **_: Any) -> None:
    global _worker  # noqa: PLW0603 — one worker a process, and its forked pool must inherit it
    _worker = WorkerResources(instance)
    _worker.prepare()


def _begin(sender: Any, **_: Any) -> None:
    if _worker is not None:
        _worker.begin(sender)


def _be_child(**_: Any) -> None:
    access.be_worker()
    if _worker is not None and _worker.planned:
        _worker.be_child()


def _close(**_: Any) -> None:
    if _worker is not None and _worker.board is not None:
        _worker.board.close()


def _be_worker(**_: Any) -> None:
    access.be_worker()


def connect() -> None:
    """Connect to the worker's life; twice is the same as once."""
    signals.worker_init.connect(_be_worker, dispatch_uid="jobroom.resources")
    signals.celeryd_after_setup.connect(_prepare, dispatch_uid="jobroom.resources")
    signals.worker_ready.connect(_begin, dispatch_uid="jobroom.resources")
    signals.worker_shutting_down.connect(_close, dispatch_uid="jobroom.resources")
    signals.worker_process_init.connect(_be_child, dispatch_uid="jobroom.resources")
