"""The list of processes that `manage.py up` runs: web, workers, beat, recorder, Redis."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from jobroom.runner.part import Part
from jobroom.runner.shutdown import StopPlan

# The order of stopping: no one asks or works any more, then the database gets the last events, then Redis goes.
WORKING, RECORDING, STORING = range(3)
PROCESSES = {"default": 2}


@dataclass(frozen=True)
class Installation:
    """Where the parts run, and with which environment."""

    folder: Path
    host: str
    port: int
    queues: list[str]
    grace: float
    environment: dict[str, str]
    # Where uvicorn finds the ASGI application, and Celery its app.
    asgi: str
    celery: str

    def parts(self) -> list[Part]:
        """Return all parts but Redis; the slowest to start come first."""
        return [self.web(), *map(self.worker, self.queues), self.recorder(), self.beat()]

    def web(self) -> Part:
        """The ASGI server."""
        address = ["--host", self.host, "--port", str(self.port)]
        # Without a time-out one open page would keep the server from ending.
        options = ["--timeout-graceful-shutdown", "5", "--no-access-log", "--log-level", "warning"]
        # Compressing a live message takes longer than sending it, and its tables more memory than the socket.
        options += ["--ws-per-message-deflate", "false"]
        return self._part("web", ["uvicorn", self.asgi, *address, *options], StopPlan(WORKING, 8))

    def worker(self, queue: str) -> Part:
        """The worker of one queue, named after it; jobs it cannot finish in time go back, see StopPlan."""
        options = ["-c", str(PROCESSES.get(queue, 1)), "-P", "prefork", "--without-gossip", "--without-mingle"]
        argv = ["celery", "-q", "-A", self.celery, "worker", "-Q", queue, "-n", f"{queue}@%h", *options, "-l", "INFO"]
        return self._part(queue, argv, StopPlan(WORKING, self.grace, hand_back=10), worker_environment())

    def beat(self) -> Part:
        """The scheduler; its schedules are in the database."""
        return self._part(
            "beat", ["celery", "-q", "-A", self.celery, "beat", "--pidfile=", "-l", "INFO"], StopPlan(WORKING, 8)
        )

    def recorder(self) -> Part:
        """The recorder, which writes what the workers report into the database; it ends after them."""
        return self._part("recorder", ["django", "record"], StopPlan(RECORDING, 15))

    def _part(self, name: str, argv: list[str], plan: StopPlan, extra: dict[str, str] | None = None) -> Part:
        environment = {**self.environment, **(extra or {})}
        return Part(name, [sys.executable, "-m", *argv], plan, self.folder, environment)


def redis_part(argv: list[str], folder: Path) -> Part:
    """Return the embedded server; its log is only wanted when something is wrong."""
    return Part("redis", argv, StopPlan(STORING, 20), folder)


def worker_environment() -> dict[str, str]:
    """Return what keeps Celery quiet and alive.

    The supervisor says once that it runs as root, so six lines of each worker may go. On macOS a forked pool process
    dies in system libraries that were first used before the fork, unless an option says otherwise.
    """
    environment = {}
    if os.geteuid() == 0:
        quiet = "ignore:You're running the worker with superuser privileges"
        environment["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), quiet]))
    if sys.platform == "darwin":
        environment["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"
    return environment
