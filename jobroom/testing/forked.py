"""Starts Python programs by forking one that has already imported Django, Celery and the project.

Starting an interpreter and importing all of it costs seconds of a processor; a suite that starts hundreds of workers
spends half its time there. A forked child is a process like any other: its own id, session, environment, signals and
exit status, and `kill -9` ends it. Children with the same environment share one warm server; settings are read once by
each server, so another environment means another server, made when it is first asked for.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobroom.testing import fork_server

# So many environments are kept warm at the same time; the one that was used longest ago makes place.
MOST = 3
# Meant for pytest's own process; they differ between tests and matter to no child.
VOLATILE = ("PYTEST_CURRENT_TEST", "DJANGO_ALLOW_ASYNC_UNSAFE")
WARM_UP = 120.0  # longest wait in seconds for a server on a busy machine


class Gone(RuntimeError):
    """The fork server has ended: what became of its children is not known."""


class Line:
    """The near end of the socket to one fork server."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.unread = b""
        self.statuses: dict[int, int] = {}
        self.answers: list[dict[str, Any]] = []
        self.lock = threading.RLock()

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer."""
        with self.lock:
            self.end.sendall(json.dumps(request).encode() + b"\n")
            return self.answer()

    def answer(self) -> dict[str, Any]:
        """Return the next answer that is not about the end of a child."""
        end = time.monotonic() + WARM_UP
        with self.lock:
            while not self.answers:
                if time.monotonic() > end:
                    raise Gone("The fork server does not answer.")
                self.listen(0.5)
            return self.answers.pop(0)

    def listen(self, seconds: float) -> None:
        """Read what the server says, waiting at most so long for it."""
        with self.lock:
            ready, _, _ = select.select([self.end], [], [], max(0.0, seconds))
            if not ready:
                return
            data = self.end.recv(1 << 16)
            if not data:
                raise Gone("The fork server has ended.")
            *lines, self.unread = (self.unread + data).split(b"\n")
            for line in lines:
                said = json.loads(line)
                if "status" in said:
                    self.statuses[said["pid"]] = said["status"]
                else:
                    self.answers.append(said)

    def close(self) -> None:
        """Let the server end, and all its children with it."""
        self.end.close()


class Forked:
    """A forked child, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, line: Line, pid: int, argv: list[str]) -> None:
        self.line = line
        self.pid = pid
        self.args = argv
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        return self._look(0.0)

    def _look(self, seconds: float) -> int | None:
        if self.returncode is None:
            if self.pid not in self.line.statuses:
                self.line.listen(seconds)
            self.returncode = self.line.statuses.pop(self.pid, None)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit status; raises `subprocess.TimeoutExpired` after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = 0.5 if end is None else min(0.5, end - time.monotonic())
            status = self._look(left)
            if status is not None:
                return status
            if timeout is not None and left <= 0:
                raise subprocess.TimeoutExpired(self.args, timeout)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9` it."""
        self.send_signal(signal.SIGKILL)


class ForkServers:
    """One server that knows no settings, and those forked from it that know some.

    With `elsewhere` the first one has imported libraries and nothing of this checkout, for projects of others; it may be
    another `python` than this one.
    """

    def __init__(self, log: Path, *, elsewhere: bool = False, python: str = sys.executable) -> None:
        self.log = log
        self.elsewhere = elsewhere
        self.python = python
        self.root: Line | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.warm: OrderedDict[str, Line | None] = OrderedDict()
        self.running: list[Forked] = []

    def spawn(self, argv: list[str], env: Mapping[str, str], **files: str) -> Forked | None:
        """Fork a child that does what `python *argv` would; None where Django cannot be set up with `env`.

        `files` are the paths of `stdin`, `stdout` and `stderr`, and the folder `cwd`.
        """
        env = {name: value for name, value in env.items() if name not in VOLATILE}
        line = self._line(env)
        return None if line is None else self._child(line, argv, env, files)

    def spawn_bare(self, argv: list[str], env: Mapping[str, str], **files: str) -> Forked:
        """Fork a child like `spawn`, from the server that knows no settings: Django is not set up in it yet."""
        return self._child(self._root(dict(env)), argv, dict(env), files)

    def _child(self, line: Line, argv: list[str], env: dict[str, str], files: dict[str, str]) -> Forked:
        pid = line.ask({"do": "spawn", "argv": argv, "env": env, **files})["pid"]
        child = Forked(line, pid, [self.python, *argv])
        self.running = [*filter(lambda other: other.returncode is None, self.running), child]
        return child

    def _line(self, env: dict[str, str]) -> Line | None:
        key = json.dumps(sorted(env.items()))
        if key not in self.warm:
            self._make_place()
            self.warm[key] = self._new(env)
        self.warm.move_to_end(key)
        return self.warm[key]

    def _make_place(self) -> None:
        """Forget the servers that were used longest ago, but none with a child that runs."""
        busy = {id(child.line) for child in self.running if child.poll() is None}
        for key, line in list(self.warm.items()):
            if len(self.warm) < MOST:
                return
            if id(line) not in busy:
                del self.warm[key]
                if line is not None:
                    line.close()

    def _new(self, env: dict[str, str]) -> Line | None:
        near, far = socket.socketpair()
        with far:
            request = json.dumps({"do": "warm", "env": env}).encode() + b"\n"
            socket.send_fds(self._root(env).end, [request], [far.fileno()])
        line = Line(near)
        if line.answer()["warm"]:
            return line
        line.close()
        return None

    def _root(self, env: dict[str, str]) -> Line:
        if self.root is None:
            near, far = socket.socketpair()
            with far, self.log.open("ab") as log:
                # By its path nothing of the package that it stands in is imported; -P keeps its folder out of the way.
                module = ["-P", fork_server.__file__] if self.elsewhere else ["-m", fork_server.__name__]
                self.process = subprocess.Popen(
                    [self.python, *module, str(far.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=env,
                    cwd=self.log.parent if self.elsewhere else Path(__file__).parents[2],
                    start_new_session=True,
                    pass_fds=[far.fileno()],
                )
            self.root = Line(near)
        return self.root

    def stop(self) -> None:
        """End all servers, and with them every child that still runs."""
        for line in (*self.warm.values(), self.root):
            if line is not None:
                line.close()
        if self.process is not None:
            self.process.wait()
        self.warm.clear()
        self.root = self.process = None


_servers: ForkServers | None = None
_owner = 0


def servers() -> ForkServers:
    """Return the servers of this process; they end with it."""
    global _servers, _owner
    if _servers is None or _owner != os.getpid():
        from django.conf import settings

        _servers, _owner = ForkServers(Path(settings.VAR) / "fork-servers.log"), os.getpid()
        atexit.register(_stop, _owner)
    return _servers


def _stop(owner: int) -> None:
    if _servers is not None and owner == os.getpid():
        _servers.stop()
