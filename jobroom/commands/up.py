"""`manage.py up`: all of Jobroom with one command."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import connections

from jobroom import conf, file_permissions
from jobroom.control_characters import escaped
from jobroom.runner import preparation, restarts, status_file
from jobroom.runner.console import Console
from jobroom.runner.installation import Installation, redis_part
from jobroom.runner.part import Part
from jobroom.runner.readiness import Probe
from jobroom.runner.redis_server import PrivateServer, RedisProblem, private_file
from jobroom.runner.supervisor import Supervisor
from jobroom.truncation import shorten

# Seconds after which, again and again, what is still missing is named.
NOT_YET = 20.0
REDIS_TRIES = 3


def _base() -> Path:
    """Return the project's folder: of its settings, as `startproject` writes them, else where the command is given."""
    return Path(getattr(settings, "BASE_DIR", "") or Path.cwd())


class Command(BaseCommand):
    """Run everything: Redis if none is configured, web server, workers, beat and recorder."""

    help = "Run Jobroom: Redis if none is configured, web server, workers, beat and recorder."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare where to listen and how patient to be."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
        parser.add_argument(
            "--port", type=int, default=getattr(settings, "PORT", 8000), help="default: IMAGE_PORT, else 8000"
        )
        parser.add_argument(
            "--grace", type=float, default=10.0, help="seconds that running jobs get at the end (default: 10)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, start, look after, stop; exit with 0 after Ctrl-C or SIGTERM, with 1 after a failure."""
        var = Path(getattr(settings, "VAR", _base() / "var"))
        file_permissions.set_umask()
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and not options["no_color"]
        console = Console(sys.stdout, colour=colour)
        try:
            preparation.data_folder(var)
            for line in preparation.keep_private(var):
                console.say(line)
            preparation.free_address(options["host"], options["port"])
            preparation.database()
            with preparation.only_one(var) as lock:
                remove = var / "run" / "redis-url"
                supervisor = Supervisor(
                    console, folder=_base(), lock=lock.fileno(), remove=remove, board=status_file.path_in(var)
                )
                with supervisor:
                    status = Session(
                        supervisor, var, **{name: options[name] for name in ("host", "port", "grace")}
                    ).run()
        except (preparation.Unprepared, RedisProblem) as problem:
            raise CommandError(str(problem)) from problem
        sys.exit(status)


class Session:
    """One run of Jobroom under a supervisor."""

    def __init__(self, supervisor: Supervisor, var: Path, *, host: str, port: int, grace: float) -> None:
        self.supervisor = supervisor
        self.console = supervisor.console
        self.var = var
        self.host = host
        self.port = port
        self.grace = grace
        self.started = self.reported = time.monotonic()
        self.welcomed = False
        self.restarts: restarts.Listener | None = None
        self.probe = Probe(self._probe_address(), self._accepted_host())

    def run(self) -> int:
        """Start all parts, look after them until the end; return the exit status."""
        url_file = self.var / "run" / "redis-url"
        try:
            environment = {"IMAGE_PORT": str(self.port), "REDIS_URL": self._redis(url_file)}
            if self.supervisor.asked_to_stop:
                return 0
            room = Installation(
                _base(), self.host, self.port, conf.settings.QUEUES, self.grace, environment, *project()
            )
            for part in room.parts():
                self.supervisor.start(part)
            self.restarts = restarts.Listener(environment["REDIS_URL"])
            self.restarts.start()
            return self.supervisor.run(self._each_turn, before_stop=self.restarts.end)
        finally:
            self.probe.close()
            self.supervisor.stop()
            if _embedded():
                url_file.unlink(missing_ok=True)

    def _redis(self, url_file: Path) -> str:
        """Return the address of a Redis that answers; the database is made ready while an embedded one starts."""
        if not _embedded():
            preparation.configured_redis(conf.settings.REDIS_URL)
            self._tables()
            return str(conf.settings.REDIS_URL)
        preparation.leftover_redis(url_file)
        server, part = self._start_redis()
        self._tables()
        for _ in range(REDIS_TRIES):
            if self._answers(server, part):
                private_file(url_file, server.url)
                return server.url
            # Someone took the port between choosing and using it, or the data cannot be read; its log says which.
            self.supervisor.forget(part)
            server, part = self._start_redis()
        raise RedisProblem(
            f"{server.binary.path} does not stay up with the data in {server.folder}; see its lines above."
        )

    def _start_redis(self) -> tuple[PrivateServer, Part]:
        server = PrivateServer(self.var / "redis")
        part = redis_part(server.command(), _base())
        self.supervisor.start(part)
        return server, part

    def _answers(self, server: PrivateServer, part: Part) -> bool:
        """Wait until the server takes commands; return False if it ended. It may have much to load."""
        while part.runs() and not self.supervisor.asked_to_stop:
            if server.answers():
                return True
            self.supervisor.turn(0.02)
        return bool(self.supervisor.asked_to_stop)

    def _tables(self) -> None:
        preparation.tables()
        password = preparation.first_user(self.var)
        connections.close_all()
        if password:
            self.console.say(f"the first user is admin, password {password} (also in {self.var / 'admin-password'})")

    def _each_turn(self) -> None:
        if self.restarts is not None:
            for part, by in self.restarts.turn(self.supervisor.parts):
                self.console.say(f"{part.name} was killed, as {escaped(shorten(by, 150))} asked for a restart")
        if self.welcomed:
            return
        now = time.monotonic()
        if self.probe.turn():
            self.welcomed = True
            self._welcome(now - self.started)
        elif now - self.reported > NOT_YET:
            self.reported = now
            self.console.say(
                f"not ready after {now - self.started:.0f} s; still missing: {', '.join(self.probe.missing)}"
            )

    def _welcome(self, seconds: float) -> None:
        if os.geteuid() == 0:
            self.console.say("running as root, so the jobs run as root too; another user is safer")
        host = f"[{self._probe_address()[0]}]" if ":" in self.host else self._probe_address()[0]
        self.console.say(f"ready after {seconds:.1f} s at http://{host}:{self.port}/ (Ctrl-C stops everything)")

    def _probe_address(self) -> tuple[str, int]:
        own = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 — compared, not listened at
        return own.get(self.host, self.host), self.port

    def _accepted_host(self) -> str:
        """Return a host name that Django will not refuse."""
        named = [name for name in settings.ALLOWED_HOSTS if name != "*"]
        return named[0].lstrip(".") if named else "localhost"


def project() -> tuple[str, str]:
    """Return where uvicorn finds the project's ASGI application, and Celery its app."""
    package = str(settings.SETTINGS_MODULE).partition(".")[0]
    named = getattr(settings, "ASGI_APPLICATION", None) or f"{package}.asgi.application"
    module, _, attribute = str(named).rpartition(".")
    return f"{module}:{attribute}", package


def _embedded() -> bool:
    """Return whether `up` runs a Redis of its own."""
    return bool(getattr(settings, "EMBEDDED_REDIS", False))
