"""Commands to one worker process and its answers, over a list in Redis, whichever the broker is.

A thread of the main process waits at the list `orders:<instance>`, and puts the answer to each command into `answers:<token>`.
It does not depend on the loop that receives jobs, so also a solo worker in the middle of a job, or one whose loop stands
still, says what it is doing. What changes the consumer or the pool is done in that loop.

| command | argument | done                                                                    |
|---------|----------|-------------------------------------------------------------------------|
| quiet   |          | it takes no more jobs; what it runs goes on                             |
| loud    |          | it takes jobs again                                                     |
| stop    |          | it ends when its jobs have ended, as SIGTERM does                       |
| grow    | number   | so many more processes                                                  |
| shrink  | number   | so many fewer, of those that are idle                                   |
| add     | queue    | it consumes the queue too                                               |
| cancel  | queue    | it does not consume the queue any more                                  |
| stack   | job      | the stack of the threads that run the job, without values of variables |
"""

import json
import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from celery import signals
from celery.worker import control

from jobroom import redis, safe_text
from jobroom.celery import pool_sizes, stacks
from jobroom.events import heartbeat

logger = logging.getLogger(__name__)

# Seconds that an answer is kept, and that the loop is waited for.
KEPT, IN_LOOP = 60, 5.0
LONGEST_WAIT = 2
# Seconds for which a smaller pool waits until a process is idle.
UNTIL_FREE = 2.0
BUSY = "All its processes are busy, and none is ended under a job. Try again when one is idle, or let the worker take no more jobs before."
# Pools whose size can change while they run.
SIZABLE = frozenset({"prefork", "processes", "gevent", "eventlet"})


class AllBusy(Exception):
    """No process of the pool is idle."""


class NoAnswer(Exception):
    """The worker did not answer in time; the command may be carried out all the same."""


def list_key(instance: str) -> str:
    """Return the key of the list of commands to a worker process."""
    return redis.key("orders", instance)


def give(instance: str, action: str, argument: Any = None, *, seconds: float = 5.0) -> dict[str, Any]:
    """Give a worker process a command and return its answer, a dictionary with `done` or `error`; raise NoAnswer."""
    token = uuid.uuid4().hex
    client, answers = redis.client(), redis.key("answers", token)
    with client.pipeline() as pipe:
        pipe.rpush(list_key(instance), json.dumps({"token": token, "action": action, "argument": argument}))
        pipe.expire(list_key(instance), KEPT)
        pipe.execute()
    found: Any = client.blpop([answers], timeout=seconds)
    if found is None:
        raise NoAnswer(f"It did not answer within {seconds:.0f} s.")
    answer: dict[str, Any] = json.loads(found[1])
    return answer


class Listener(threading.Thread):
    """Takes commands in a worker's main process, over a connection of its own."""

    def __init__(self, gate: Any, consumer: Any) -> None:
        super().__init__(name="commands", daemon=True)
        self.gate = gate
        self.consumer = consumer
        self.client = redis.connect()
        self.stopped = threading.Event()

    def run(self) -> None:
        """Take commands until asked to stop; while Redis is away there are none."""
        while not self.stopped.is_set():
            try:
                found: Any = self.client.blpop([list_key(heartbeat.instance())], timeout=LONGEST_WAIT)
                if found is not None:
                    self._answer(json.loads(found[1]))
            except (redis.Error, OSError):
                self.stopped.wait(LONGEST_WAIT)
            except Exception:  # the boundary: a command that cannot be read must not end the thread
                logger.exception("A command could not be taken")

    def _answer(self, command: dict[str, Any]) -> None:
        action, argument = command["action"], command.get("argument")
        try:
            done = {"done": _ACTIONS[action](self, argument)}
        except Exception as error:  # noqa: BLE001 — the boundary: who gave the command learns why it failed
            done = {"error": safe_text.error_text(error) or safe_text.error_type(error)}
        logger.info("Command %s %s: %s", action, argument or "", done.get("error", "done"))
        with self.client.pipeline() as pipe:
            key = redis.key("answers", str(command["token"]))
            pipe.rpush(key, json.dumps(done))
            pipe.expire(key, KEPT)
            pipe.execute()
        heartbeat.beat_now()

    def in_loop(self, function: Callable[[], Any]) -> Any:
        """Call a function in the consumer's loop and return what it returns; raise what it raises, or NoAnswer."""
        done, outcome = threading.Event(), {}

        def call() -> None:
            try:
                outcome["value"] = function()
            except Exception as error:  # noqa: BLE001 — raised again below, where someone waits for it
                outcome["error"] = error
            done.set()

        self.consumer.call_soon(call)
        if not done.wait(IN_LOOP):
            raise NoAnswer("It will be done when the worker has time: the loop that receives jobs is busy.")
        if "error" in outcome:
            raise outcome["error"]
        return outcome.get("value")

    def size(self, change: int) -> str:
        """Make the pool larger or smaller; return what Celery says."""
        if heartbeat.pool_of(self.consumer) not in SIZABLE:
            raise ValueError(f"A pool of the kind {heartbeat.pool_of(self.consumer)} cannot change its size.")
        try:
            if change > 0:
                return self._resized("pool_grow", change)
            end = time.monotonic() + UNTIL_FREE
            # One by one: of several that are asked for at once Celery ends some, and then says that it could not.
            for ended in range(-change):
                said = self._one_fewer(end, f" Ended: {ended} of {-change}." if ended else "")
            return said
        finally:
            # With `worker_disable_prefetch` it takes as many messages as this says, which Celery sets at the start alone.
            self.consumer.controller.max_concurrency = self.consumer.pool.num_processes

    def _one_fewer(self, end: float, before: str) -> str:
        """End a process that is idle, or becomes idle until `end` (monotonic); raise ValueError, with what was done before."""
        while True:
            try:
                return self._resized("pool_shrink", 1)
            except AllBusy:
                if time.monotonic() > end:
                    raise ValueError(BUSY + before) from None
            self.stopped.wait(0.05)

    def _resized(self, command: str, number: int) -> str:
        """Give one of Celery's own commands and return what it says; raise AllBusy, or ValueError where it refuses."""
        panel = SimpleNamespace(consumer=self.consumer, app=self.gate.app)
        try:
            answer: dict[str, str] = self.in_loop(lambda: getattr(control, command)(panel, n=number))
        except ValueError as error:  # it refuses by an answer, and raises this for that reason alone
            raise AllBusy from error
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["ok"]


def _quiet(listener: Listener, argument: Any) -> str:
    listener.gate.be_quiet(quiet=True)
    listener.in_loop(lambda: None)
    return "It takes no more jobs."


def _loud(listener: Listener, argument: Any) -> str:
    listener.gate.be_quiet(quiet=False)
    listener.in_loop(lambda: None)
    return "It takes jobs again."


def _stop(listener: Listener, argument: Any) -> str:
    os.kill(os.getpid(), signal.SIGTERM)
    return "It ends when its jobs have ended."


def _grow(listener: Listener, argument: Any) -> str:
    return listener.size(int(argument))


def _shrink(listener: Listener, argument: Any) -> str:
    return listener.size(-int(argument))


def _add(listener: Listener, argument: Any) -> str:
    listener.in_loop(lambda: listener.gate.add(str(argument)))
    return f"It consumes {argument}."


def _cancel(listener: Listener, argument: Any) -> str:
    listener.in_loop(lambda: listener.gate.cancel(str(argument)))
    return f"It does not consume {argument} any more."


def _stack(listener: Listener, argument: Any) -> str:
    return stacks.of_job(str(argument))


_ACTIONS: dict[str, Callable[[Listener, Any], str]] = {
    "quiet": _quiet,
    "loud": _loud,
    "stop": _stop,
    "grow": _grow,
    "shrink": _shrink,
    "add": _add,
    "cancel": _cancel,
    "stack": _stack,
}
ACTIONS = frozenset(_ACTIONS)

_listener: Listener | None = None


def begin(gate: Any, consumer: Any) -> None:
    """Take commands from now on; with a consumer that is made again after a lost connection, go on with that one."""
    global _listener  # noqa: PLW0603 — one worker a process
    if _listener is None:
        _listener = Listener(gate, consumer)
        _listener.start()
    _listener.consumer = consumer
    pool_sizes.spare_busy_processes(consumer.pool)


def _end(**_: Any) -> None:
    if _listener is not None:
        _listener.stopped.set()


def connect() -> None:
    """Connect to the worker's life; twice is the same as once."""
    signals.celeryd_after_setup.connect(stacks.prepare, dispatch_uid="jobroom.celery.worker_commands.stacks")
    signals.worker_shutdown.connect(_end, dispatch_uid="jobroom.celery.worker_commands")
