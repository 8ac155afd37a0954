"""Restarts that an operator asks for: `manage.py up` kills a worker of its own that hangs, and starts it again.

A worker that hangs hears nothing, so its supervisor is asked, over Redis: the hash `supervisors` says of each of them (`host:pid`)
which workers it runs, a request is pushed to the list `restarts:<host>:<pid>`, and its answer comes in `answers:<token>`. A thread
speaks to Redis; the supervisor's loop alone kills, and waits for no one.
"""

import dataclasses
import json
import os
import queue
import socket
import threading
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from jobroom import redis
from jobroom.runner.part import Part
from jobroom.runner.shutdown import sweep

# Seconds that one look for a request takes, after which an entry in the hash is old, and that a request and its answer are kept.
INTERVAL, OLD, KEPT = 0.5, 10.0, 60
# Seconds that the supervisor's loop, which turns ten times a second, is waited for.
IN_LOOP = 3.0


class NoAnswer(Exception):
    """The supervisor did not answer in time."""


@dataclasses.dataclass
class Request:
    """A worker to be killed, and what came of it."""

    pid: int
    by: str
    answer: dict[str, str] = dataclasses.field(default_factory=dict)  # done or error
    settled: threading.Event = dataclasses.field(default_factory=threading.Event)


def _key() -> str:
    return redis.key("supervisors")


def _requests(supervisor: str) -> str:
    return redis.key("restarts", supervisor)


class Listener(threading.Thread):
    """Says which workers this supervisor runs, and takes requests to restart one."""

    def __init__(self, url: str) -> None:
        super().__init__(name="restarts", daemon=True)
        self.supervisor = f"{socket.gethostname()}:{os.getpid()}"
        self.client = redis.connect(url=url)
        self.requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self.workers: dict[int, str] = {}  # by process id
        self.said: tuple[list[int] | None, float] = None, 0.0  # what was said last, and when
        self.stopped = threading.Event()

    def turn(self, parts: Iterable[Part]) -> list[tuple[Part, str]]:
        """Kill the workers that someone asked for since the last turn; return them, each with who did. Called by the loop."""
        running = {part.process.pid: part for part in parts if part.process is not None and "worker" in part.argv}
        self.workers = {pid: part.name for pid, part in running.items()}
        done = []
        with suppress(queue.Empty):
            while True:
                request = self.requests.get_nowait()
                part = running.get(request.pid)
                if part is None:
                    request.answer = {"error": f"It runs no worker with the process id {request.pid} any more."}
                else:
                    sweep(request.pid)
                    request.answer = {"done": part.name}
                    done.append((part, request.by))
                request.settled.set()
        return done

    def run(self) -> None:
        """Take requests until it is to end; while Redis is away there are none."""
        while not self.stopped.is_set():
            try:
                self._say()
                found: Any = self.client.blpop([_requests(self.supervisor)], timeout=INTERVAL)
                if found is not None:
                    self._take(json.loads(found[1]))
            except (redis.Error, OSError, ValueError, KeyError):
                self.stopped.wait(INTERVAL)
        with suppress(redis.Error, OSError):
            self.client.hdel(_key(), self.supervisor)

    def _say(self) -> None:
        """Say which workers run, where that has changed or was said a while ago."""
        workers = sorted(self.workers)
        before, at = self.said
        if workers == before and time.monotonic() < at + OLD / 4:
            return
        self.client.hset(_key(), self.supervisor, json.dumps({"at": redis.now(self.client), "workers": workers}))
        self.said = workers, time.monotonic()

    def _take(self, said: dict[str, Any]) -> None:
        request = Request(int(said["pid"]), str(said["by"]))
        self.requests.put(request)
        if not request.settled.wait(IN_LOOP):
            request.answer = {"error": "Its supervisor is stopping, or busy."}
        with self.client.pipeline() as pipe:
            answers = redis.key("answers", str(said["token"]))
            pipe.rpush(answers, json.dumps(request.answer))
            pipe.expire(answers, KEPT)
            pipe.execute()

    def end(self) -> None:
        """Take no more requests; Redis, which may be the next to stop, is not waited for. Twice is the same as once."""
        self.stopped.set()
        self.join(4 * INTERVAL)


def supervisor_of(host: str, pid: int) -> str | None:
    """Return the supervisor of ours that runs the process, by its `host:pid`; None where none does. Raises redis errors."""
    return supervised().get((host, pid))


def supervised() -> dict[tuple[str, int], str]:
    """Return the processes that supervisors of ours run, by host and pid, each with its supervisor: one read for all.

    Raises redis errors.
    """
    entries: dict[str, str] = redis.client().hgetall(_key())  # type: ignore[assignment]
    now, found = redis.now() if entries else 0.0, dict[tuple[str, int], str]()
    for supervisor, text in entries.items():
        entry = json.loads(text)
        if now - entry["at"] > OLD:
            redis.client().hdel(_key(), supervisor)
        else:
            found |= {(supervisor.rpartition(":")[0], pid): supervisor for pid in entry["workers"]}
    return found


def ask(supervisor: str, pid: int, *, by: str, seconds: float) -> str:
    """Let a supervisor kill its worker; return what is against it, empty where it is done. Raises NoAnswer and redis errors."""
    token = uuid.uuid4().hex
    with redis.client().pipeline() as pipe:
        pipe.rpush(_requests(supervisor), json.dumps({"token": token, "pid": pid, "by": by}))
        pipe.expire(_requests(supervisor), int(seconds))  # whom no one waits for any more is not killed
        pipe.execute()
    found: Any = redis.client().blpop([redis.key("answers", token)], timeout=seconds)
    if found is None:
        redis.client().delete(_requests(supervisor))
        raise NoAnswer(f"Its supervisor did not answer within {seconds:g} s.")
    answer: dict[str, str] = json.loads(found[1])
    return answer.get("error", "")
