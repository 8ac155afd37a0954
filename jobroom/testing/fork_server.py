"""A process that has imported what tests need, and forks a child on request; see `jobroom.testing.forked`.

It speaks JSON lines over the socket whose number is its argument. Nothing is open in it that a child must not share: no
thread, no connection, no file but its log.

    {"do": "warm", "env": {…}}  and a socket: fork a server like this one, with that environment and Django set up
    {"do": "spawn", "argv": […], "env": {…}, "cwd": …, "stdin": …, "stdout": …, "stderr": …}  →  {"pid": …}
    {"pid": …, "status": …}  ←  a child ended
"""

import array
import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

# Imported before anything is known of settings: what costs most of all children.
LIBRARIES = (
    "celery.bin.celery", "celery.bin.worker", "celery.bin.beat", "celery.worker.worker", "celery.worker.consumer",
    "celery.worker.strategy", "celery.concurrency.prefork", "celery.concurrency.solo", "celery.concurrency.thread",
    "celery.apps.worker", "celery.app.control", "celery.backends.redis", "celery.fixups.django", "celery.app.log",
    "kombu.transport.redis", "kombu.transport.virtual", "kombu.pidbox", "kombu.asynchronous.hub", "redis.asyncio",
    "django.core.management", "django.db.models", "django.db.backends.sqlite3.base", "django.contrib.admin", "django.test",
    "numpy", "pydantic", "yaml", "jsonschema", "channels", "httpx", "markdown_it", "uvicorn", "uvicorn.logging",
    "uvicorn.loops.auto", "uvicorn.protocols.http.auto", "uvicorn.protocols.websockets.auto", "websockets", "httptools",
    "psycopg", "psycopg.types", "requests", "django.contrib.postgres.forms", "rest_framework.compat", "drf_spectacular.plumbing",
    "celery.worker.components", "celery.worker.autoscale", "celery.worker.consumer.delayed_delivery", "celery.app.events",
    "celery.events.receiver", "kombu.mixins", "billiard.heap", "billiard.sharedctypes", "billiard.synchronize",
    "billiard.popen_fork", "pydantic.type_adapter", "pydantic.types", "pydantic.fields", "pydantic.plugin._loader",
    "django.contrib.staticfiles.finders", "servestatic.middleware", "ontology.vocabulary.index", "text.spam.trainer",
)  # fmt: skip
# Imported once Django is set up.
PROJECT = (
    "image.celery",
    "image.urls",
    "image.asgi",
    "django.core.management.commands.migrate",
    "jobroom.jobs.commands.record",
    "jobroom.celery.consumer",
    "jobroom.celery.publisher",
)


class Server:
    """Forks on request, reaps its children and reports their exit statuses."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.unread = b""
        self.sockets: list[int] = []
        self.children: set[int] = set()
        self.woken, self.waker = socket.socketpair()
        for end in (self.woken, self.waker):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.waker.fileno(), warn_on_full_buffer=False)

    def serve(self) -> dict[str, Any]:
        """Answer requests for ever; return, in a forked child, what it is to do."""
        while True:
            ready, _, _ = select.select([self.channel, self.woken], [], [])
            if self.woken in ready:
                self._reap()
            if self.channel in ready:
                for request in self._requests():
                    if self._fork(request):
                        return request

    def _fork(self, request: dict[str, Any]) -> bool:
        """Fork a child for the request; return whether this is the child."""
        settled, settling = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(settled)
            self._leave()
            # A session of its own before anyone knows its id: its whole group can be killed from the first moment on.
            os.setsid()
            os.close(settling)
            return True
        os.close(settling)
        os.read(settled, 1)  # its end
        os.close(settled)
        self._began(request, pid)
        return False

    def _requests(self) -> list[dict[str, Any]]:
        """Return what was asked; end with all children when the other side is gone."""
        room = socket.CMSG_LEN(array.array("i").itemsize)
        data, ancillary, _, _ = self.channel.recvmsg(1 << 20, room)
        for _, _, passed in ancillary:
            self.sockets += array.array("i", passed)
        if not data:
            self._end()
        *lines, self.unread = (self.unread + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def _began(self, request: dict[str, Any], pid: int) -> None:
        if request["do"] == "warm":
            os.close(self.sockets.pop(0))
        else:
            self.children.add(pid)
            self.say(pid=pid)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.woken.recv(4096)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid in self.children:
                    self.children.discard(pid)
                    self.say(pid=pid, status=os.waitstatus_to_exitcode(status))

    def say(self, **words: Any) -> None:
        """Answer the other side."""
        with contextlib.suppress(BrokenPipeError):
            self.channel.sendall(json.dumps(words).encode() + b"\n")

    def _end(self) -> NoReturn:
        """Leave nothing behind: the process that started us is gone, maybe by `kill -9`."""
        for pid in self.children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        os._exit(0)

    def _leave(self) -> None:
        """Be a child: nothing of the server is left in it."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (self.channel, self.woken, self.waker):
            end.close()


def take_environment(env: dict[str, str]) -> None:
    """Let this process look as if it had been started with `env`."""
    own = set(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    rest = [entry for entry in sys.path if entry not in own]
    os.environ.clear()
    os.environ.update(env)
    sys.path[:] = [*filter(None, env.get("PYTHONPATH", "").split(os.pathsep)), *rest]
    importlib.invalidate_caches()


def warm_up(names: tuple[str, ...]) -> None:
    """Import modules; those that are not there, or want settings first, are no loss."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def set_up() -> bool:
    """Set Django up and import the project; return whether that went well."""
    import django
    from django.template import engines

    try:
        django.setup()
        for name in PROJECT:
            importlib.import_module(name)
        engines.all()  # with the tags of all apps: the checks at the start of a command ask for them
    except Exception:  # noqa: BLE001 — the boundary: a child that is executed instead shows what is wrong
        traceback.print_exc()
        return False
    return True


def only_thread() -> bool:
    """Return whether a fork copies all of this process."""
    return threading.active_count() == 1


def redirect(request: dict[str, Any]) -> None:
    """Open the child's own input and output."""
    modes = {"stdin": (0, os.O_RDONLY), "stdout": (1, os.O_WRONLY), "stderr": (2, os.O_WRONLY)}
    for name, (number, mode) in modes.items():
        opened = os.open(request[name], mode | (os.O_CREAT | os.O_APPEND if number else 0), 0o644)
        os.dup2(opened, number)
        os.close(opened)


def run(request: dict[str, Any]) -> None:
    """Do what `python -m MODULE …`, `python -c CODE …` or `python FILE …` would; the file stands in the folder `cwd`."""
    redirect(request)
    os.chdir(request["cwd"])
    take_environment(request["env"])
    program, *arguments = request["argv"]
    sys.path.insert(0, "" if program == "-c" else request["cwd"])
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    random.seed()
    if program == "-m":
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    elif program == "-c":
        code, *arguments = arguments
        sys.argv = ["-c", *arguments]
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
    else:
        sys.argv = [program, *arguments]
        runpy.run_path(program, run_name="__main__")


def end_with(program: Callable[[], None]) -> NoReturn:
    """Run a child's program and end with the status that the interpreter would give it.

    The interpreter would also take everything apart that was imported, and so copy each page of the memory that the child shares with
    its server: more processor time than the start of a worker.
    """
    status = 0
    try:
        try:
            program()
        finally:
            threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    except SystemExit as error:
        status = _status(error.code)
    except BaseException:  # noqa: BLE001 — the boundary: it is printed as the interpreter does
        sys.excepthook(*sys.exc_info())
        status = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _status(code: Any) -> int:
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def main() -> None:
    """Warm up and serve; in a child, run its program and end."""
    server = Server(socket.socket(fileno=int(sys.argv[1])))
    # A library that reads settings while it is imported must fail: it would read those of the first environment.
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)
    warm_up(LIBRARIES)
    while True:
        gc.collect()
        gc.freeze()
        request = server.serve()
        if request["do"] == "spawn":
            end_with(functools.partial(run, request))
        channel = socket.socket(fileno=server.sockets[0])
        take_environment(request["env"])
        well = set_up()
        server = Server(channel)
        server.say(warm=well and only_thread())


if __name__ == "__main__":
    main()
