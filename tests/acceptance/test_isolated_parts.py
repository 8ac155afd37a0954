"""One part of a room in trouble never takes the others along: one `manage.py up`, on a small disk of its own."""

import errno
import http.cookiejar
import json
import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import redis

from image.celery import app
from jobroom.testing import wait_until
from jobroom.testing.brokers import broker
from tests.acceptance.test_up import Up, with_tables

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc"),
]

# Bytes of the disk that holds the data folder: the database, what Redis appends to, logs and files.
DISK = 64_000_000
MOUNT = 'mount -t tmpfs -o mode=0700,size={size} tmpfs "$0" && cp -a "$1"/. "$0" && shift && exec "$@"'


def may_mount():
    """Return whether this machine lets us have a disk that no one else sees."""
    program = shutil.which("unshare")
    return bool(program) and not subprocess.run([program, "--mount", "mount", "-t", "tmpfs", "x", "/mnt"]).returncode


class Room(Up):
    """A running `up`, asked as a person and a program do."""

    def __init__(self, folder):
        seed = with_tables(folder / "seed")
        self.has_disk = may_mount()
        if self.has_disk:
            (folder / "var").mkdir(mode=0o700)
            before = ["unshare", "--mount", "sh", "-c", MOUNT.format(size=DISK), str(folder / "var"), str(seed)]
            super().__init__(folder / "var", before=before)
        else:
            super().__init__(seed)
        self.killed = set()
        self.browser = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), urllib.request.HTTPErrorProcessor
        )

    def path(self, name):
        """Return where a file of the data folder lies for us: its disk is seen by these processes alone."""
        return Path(f"/proc/{self.process.pid}/root{self.var}") / name

    def ask(self, path, **fields):
        """Return status and text of a page, or of what a form with these fields answers."""
        body = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": self.token}).encode() if fields else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body)
        try:
            with self.browser.open(request, timeout=60) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        if found := re.search('name="csrfmiddlewaretoken" value="([^"]+)"', text):
            self.token = found[1]
        return status, text

    def log_in(self):
        self.ask("/login/")
        password = self.path("admin-password").read_text().strip()
        assert self.ask("/login/", username="admin", password=password)[0] == 200
        return self

    def launch(self):
        """Launch a job from its page; return status and text of the page that the person sees then."""
        return self.ask("/tasks/demo.add/", **{"x": 20, "y": 22, "launch-when": "now"})

    def jobs(self):
        """Return the jobs of the list, as (id, state)."""
        with self.browser.open(f"http://127.0.0.1:{self.port}/api/jobs/?task=demo.add", timeout=60) as answer:
            return [(row["id"], row["state"], row["attempts"]) for row in json.load(answer)["results"]]

    def job(self, pk):
        """Return state and attempts of one job, None while it is unknown."""
        status, text = self.ask(f"/api/jobs/{pk}/")
        return (json.loads(text)["state"], json.loads(text)["attempts"]) if status == 200 else None

    def parts(self):
        """Return what each part says of itself."""
        try:
            return self.get("/readyz")[1]["parts"]
        except urllib.error.HTTPError as error:
            return json.loads(error.read())["parts"]

    def is_ready(self):
        """Return whether every part is well, but for what a test has killed so often that it is started later and later."""
        return {name for name, part in self.parts().items() if not part["ok"]} <= self.killed

    def redis(self):
        return redis.Redis.from_url(self.path("run/redis-url").read_text().strip())

    def named(self, *words):
        """Return the processes of this `up` with all these words in their command line."""
        return [pid for pid in self.members() if set(words) <= set(self._arguments(pid))]


@pytest.fixture(scope="module")
def room(tmp_path_factory, django_db_setup):
    """One running `up` for the module."""
    up = Room(tmp_path_factory.mktemp("room"))
    try:
        yield up.ready().log_in()
    finally:
        up.process.send_signal(signal.SIGTERM)
        try:
            up.process.wait(60)
        finally:
            for pid in up.members():
                os.kill(pid, signal.SIGKILL)


OTHERS = {"web": ["uvicorn"], "worker": ["worker"], "recorder": ["record"]}


def processes(room):
    return {name: room.main(*words) for name, words in OTHERS.items()}


def test_killing_beat_six_times_a_minute_harms_no_other(room):
    room.killed = {"beat", "parts"}
    before = processes(room)
    killed = set()

    def is_killed_again():
        for pid in room.named("beat"):
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        return len(killed) >= 6

    wait_until(is_killed_again, 60)
    wait_until(lambda: not room.parts()["parts"]["ok"], 60)
    assert "beat does not stay up" in room.parts()["parts"]["detail"]
    assert room.process.poll() is None
    assert processes(room) == before
    assert "everything else goes on" in room.log


def goes_on(room, before):
    """See that every part is well again by itself, that none was started again, and that a job runs."""
    wait_until(room.is_ready, 120, str(room.parts()))
    assert processes(room) == before, room.log[-3000:]
    assert room.process.poll() is None
    assert room.launch()[0] == 200
    wait_until(lambda: {(state, attempts) for _, state, attempts in room.jobs()} == {("succeeded", 1)}, 90)


def pages_say(room, what, remedy):
    """See that pages are there, and that the line which each of them shows says what is wrong and what to do."""
    for page in ("/", "/jobs/", "/workers/", "/health/", "/healthz"):
        assert room.ask(page)[0] == 200, page
    line = wait_until(lambda: what in (text := room.ask("/health/line/")[1]) and text, 60)
    assert remedy in line
    assert "Start Redis" not in line
    assert room.process.poll() is None


def launch_in_trouble(room, word):
    """Launch a job now: it is kept and runs later, or the person reads what is full and what to do."""
    status, text = room.launch()
    assert status == 200 or (status == 503 and word in text), (status, text[-3000:])
    return status == 200


def test_a_redis_without_memory_is_named_and_stops_nothing(room):
    """Parts wait as long as it lasts; pages stay up and say what to do."""
    wait_until(room.is_ready, 120)
    before, known = processes(room), len(room.jobs())
    with room.redis() as server:
        server.config_set("maxmemory", "1mb")
        try:
            wait_until(lambda: "maxmemory" in room.parts()["redis"]["detail"], 60)
            wait_until(lambda: re.search("Heartbeat: Redis is unavailable: .*is out of memory", room.log), 60)
            kept = launch_in_trouble(room, "maxmemory")
            pages_say(room, "Redis is out of memory", "Raise its maxmemory")
        finally:
            server.config_set("maxmemory", "0")
    goes_on(room, before)
    assert len(room.jobs()) == known + kept + 1


def fill(path):
    """Write a file until there is no room for it."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(64 * 1024)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 — what was waited for


def test_a_full_disk_is_named_and_stops_nothing(room):
    """First Redis cannot write, then the database alone; jobs that are sent meanwhile run, and are recorded afterwards."""
    if not room.has_disk:
        pytest.skip("needs the right to mount a disk")
    wait_until(room.is_ready, 120)
    before, known = processes(room), len(room.jobs())
    filler = room.path("filler")
    with room.redis() as server, broker((room.path("run/redis-url")).read_text().strip()):
        try:
            fill(filler)
            wait_until(lambda: "Free space" in room.parts()["redis"]["detail"], 60)
            kept = launch_in_trouble(room, "Free space")
            pages_say(room, "Redis cannot write to its disk", "Free space")

            server.config_set("appendonly", "no")  # as a Redis on another machine
            wait_until(lambda: room.parts()["redis"]["ok"], 60)
            sent = [app.send_task("demo.echo", [str(number) * 20_000]).id for number in range(100)]
            wait_until(lambda: re.search("The recorder waits for .*The disk of the database is full", room.log), 90)
            assert launch_in_trouble(room, "disk of the database") is False
            pages_say(room, "0.0 GB of 0 GB are free", "Free space, or enlarge the disk")
        finally:
            filler.unlink()
            wait_until(lambda: server.config_set("appendonly", "yes"), 60)
    goes_on(room, before)
    assert len(room.jobs()) == known + kept + 1
    wait_until(lambda: {room.job(each) for each in sent} == {("succeeded", 1)}, 120)
