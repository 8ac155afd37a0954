"""Real worker, beat and recorder processes for acceptance tests; nothing is left behind when the block ends."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from django.conf import settings
from django.db import connection

from jobroom import redis
from jobroom.conf import settings as options
from jobroom.events import consumer, heartbeat
from jobroom.exceptions import RedisUnavailable
from jobroom.testing import dying_with_us, forked, wait_until

# Seconds of one look whether a process that was asked to end has ended.
LOOK = 0.25


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment in which a child sees the test's own database, Redis and settings."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{database['NAME']}"
    else:
        url = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database)
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "image.settings",
        "DATABASE_URL": url,
        "REDIS_URL": options.REDIS_URL,
        "IMAGE_VAR": str(settings.VAR),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(settings.BASE_DIR), os.environ.get("PYTHONPATH", "")])),
        "PYTHONUNBUFFERED": "1",
        # At each start of a worker Celery runs Django's checks, a third of its start, and drops what they find.
        "CELERY_SKIP_CHECKS": "1",
        **(extra or {}),
    }


class Process:
    """A child in a session of its own, with its output in a file; use as a context manager.

    A Python program (`python -m …`, `python -c …`) is forked from a warm server; `warm=False` executes it, for tests of
    how a program starts.
    """

    def __init__(self, name: str, argv: list[str], env: Mapping[str, str] | None = None, *, warm: bool = True) -> None:
        self.name = name
        self.argv = argv
        self.env = environment(env)
        self.warm = warm
        self.log_path = Path(settings.VAR) / f"{name}-{os.getpid()}-{time.monotonic_ns()}.log"
        self.popen: subprocess.Popen[bytes] | forked.Forked | None = None

    @property
    def pid(self) -> int:
        """The process id of the running child."""
        assert self.popen is not None, "not started"
        return self.popen.pid

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self) -> "Process":
        """Start it; returns at once."""
        self.popen = (self._fork() if self.warm else None) or self._execute()
        return self

    def _fork(self) -> forked.Forked | None:
        if self.argv[0] != sys.executable or self.argv[1] not in {"-m", "-c"}:
            return None
        output = str(self.log_path)
        files = {"stdin": os.devnull, "stdout": output, "stderr": output, "cwd": str(settings.BASE_DIR)}
        return forked.servers().spawn(self.argv[1:], self.env, **files)

    def _execute(self) -> "subprocess.Popen[bytes]":
        with self.log_path.open("ab") as out:
            return subprocess.Popen(
                dying_with_us(self.argv, "KILL"),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=settings.BASE_DIR,
                start_new_session=True,
            )

    def kill(self) -> None:
        """`kill -9` the process and all it started, as a machine that loses power would."""
        if self.popen is not None:
            self._signal_group(signal.SIGKILL)
            self.popen.wait()

    def kill_main(self) -> None:
        """`kill -9` the process alone; its children find out by themselves."""
        assert self.popen is not None
        self.popen.kill()
        self.popen.wait()

    def stop(self, seconds: float = 30) -> int:
        """Ask it to end (SIGTERM), wait, kill what is left; return its exit status."""
        if self.popen is None:
            return 0
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self._wait_for_end(seconds)
            except subprocess.TimeoutExpired:
                self.popen.send_signal(signal.SIGQUIT)
                try:
                    self.popen.wait(10)
                except subprocess.TimeoutExpired:
                    self.popen.kill()
        status = self.popen.wait()
        self._signal_group(signal.SIGKILL)
        return status

    def _wait_for_end(self, seconds: float) -> None:
        """Wait for so many seconds of looking: while the whole machine stands still, no one can end."""
        assert self.popen is not None
        for _ in range(max(1, round(seconds / LOOK))):
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(LOOK)
                return
        raise subprocess.TimeoutExpired(self.argv, seconds)

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def __enter__(self) -> Any:
        try:
            return self.start()
        except BaseException:
            # What never became ready would take the messages of the next test.
            self.stop(seconds=5)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            sys.stderr.write(f"--- {self.name} printed ---\n{self.log}\n")
        self.stop(seconds=5)


class Worker(Process):
    """A Celery worker; entering the block waits until its heartbeat is seen."""

    def __init__(
        self,
        *options: str,
        queues: str = "default",
        concurrency: int = 2,
        name: str = "worker",
        pool: str = "prefork",
        app: str = "image",
        env: Mapping[str, str] | None = None,
        warm: bool = True,
    ) -> None:
        self.node = f"{name}@test"
        argv = [
            *(sys.executable, "-m", "celery", "-A", app, "worker", "-n", self.node, "-Q", queues),
            *("-c", str(concurrency), "-P", pool, "--without-gossip", "--without-mingle", "-l", "INFO"),
            *options,
        ]
        super().__init__(name, argv, env, warm=warm)

    def start(self) -> "Worker":
        """Start it and wait for its heartbeat."""
        super().start()
        wait_until(self._beats, 120, f"{self.name} is up\n{self.log}")
        return self

    def _wait_for_end(self, seconds: float) -> None:
        """Wait; meanwhile end each BRPOP as its time-out of a second would: a worker that stops waits for its last one."""
        assert self.popen is not None
        unblocking = min(seconds, 3.0)
        with suppress(redis.Error, OSError):
            for _ in range(round(unblocking / 0.05)):
                if self.popen.poll() is not None:
                    break
                for client in redis.client().client_list():
                    if client["cmd"] == "brpop" and "b" in client["flags"]:
                        redis.client().client_unblock(int(client["id"]))
                time.sleep(0.05)
        super()._wait_for_end(seconds - unblocking)

    def _beats(self) -> bool:
        assert self.popen is not None
        assert self.popen.poll() is None, f"{self.name} ended with {self.popen.returncode}\n{self.log}"
        return any(worker.pid == self.pid for worker in heartbeat.workers())


class Beat(Process):
    """The beat scheduler.

    It knows the schedules of the database only: those of the settings would come into a test when the clock says so, at each
    full hour for example. `from_settings` lets it know them too.
    """

    def __init__(
        self, app: str = "image", env: Mapping[str, str] | None = None, *, from_settings: bool = False
    ) -> None:
        argv = [sys.executable, "-m", "celery", "-A", app, "beat", "-l", "INFO", "--pidfile="]
        super().__init__("beat", argv if from_settings else [*argv, "--", "beat.schedule=(dict){}"], env)


class Recorder(Process):
    """`manage.py record`."""

    running: ClassVar[set["Recorder"]] = set()

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        super().__init__("record", [sys.executable, "-m", "django", "record"], env)

    def start(self) -> "Recorder":
        """Start it; returns at once."""
        super().start()
        self.running.add(self)
        return self

    def kill(self) -> None:
        """Kill it."""
        self.running.discard(self)
        super().kill()

    def stop(self, seconds: float = 30) -> int:
        """End it; return its exit status."""
        self.running.discard(self)
        return super().stop(seconds)


def wait_for_recorders(seconds: float = 10.0) -> None:
    """Return when the recorders that still run have written down what is known by now; after `seconds` all the same."""
    if Recorder.running:
        with suppress(TimeoutError, RedisUnavailable):
            consumer.wait_until_recorded(seconds)


def completed(
    *argv: str, env: Mapping[str, str] | None = None, typed: str = "", seconds: float = 180
) -> "subprocess.CompletedProcess[str]":
    """Run `python *argv` (`-m …` or `-c …`) from a warm server to its end; return its status and what it printed.

    `typed` is what it reads from its standard input.
    """
    folder = Path(tempfile.mkdtemp(dir=settings.VAR))
    files = {name: str(folder / name) for name in ("stdin", "stdout", "stderr")}
    Path(files["stdin"]).write_text(typed)
    try:
        child = forked.servers().spawn(list(argv), environment(env), cwd=str(settings.BASE_DIR), **files)
        assert child is not None, "Django cannot be set up in this environment"
        try:
            status = child.wait(seconds)
        except BaseException:
            child.kill()
            raise
        out, err = (Path(files[name]).read_text(errors="replace") for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(child.args, status, out, err)
    finally:
        shutil.rmtree(folder)


@contextmanager
def running(*processes: Process) -> Iterator[None]:
    """Run several processes while inside the block."""
    started: list[Process] = []
    try:
        for process in processes:
            started.append(process)
            process.start()
        yield
    except BaseException:
        for process in started:
            sys.stderr.write(f"--- {process.name} printed ---\n{process.log}\n")
        raise
    finally:
        for process in reversed(started):
            process.stop(seconds=5)
