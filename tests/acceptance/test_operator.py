"""An operator pauses, sends workers commands, and sees them do it: with real workers."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from celery.result import AsyncResult

from image.celery import app
from jobroom import redis
from jobroom.celery import pauses as held
from jobroom.events import heartbeat
from jobroom.jobs.models import FINISHED, Job
from jobroom.queues import operations, pauses
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker
from jobroom.workers import drain, remote_control
from jobroom.workers.exceptions import NoSuchWorker, WrongCommand
from tests.acceptance import gated

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(360)]
NODE = "operated@test"


@pytest.fixture(scope="module")
def worker(django_db_setup):
    """One worker for all tests: each leaves it as it was."""
    redis.client().flushdb()
    with Worker(name="operated", concurrency=2, app=gated.APP) as running:
        wait_until(lambda: not said().starting, 60)
        yield running


@pytest.fixture(autouse=True)
def _as_it_was(worker, monkeypatch):
    """Be patient with the worker's answers, and leave nothing paused, whatever a test has done."""
    monkeypatch.setattr(remote_control, "PATIENCE", 9.0)  # within that of a connection to Redis
    monkeypatch.setattr(pauses, "PATIENCE", 60.0)
    yield
    for kind, name in held.current():
        held.remove(kind, name)
    if said().quiet:
        remote_control.give(NODE, "loud", by="grace")


def said(name: str = NODE) -> heartbeat.Worker:
    """Return what a worker says of itself, once it does: it may have stood still for longer than the living may be silent."""

    def living() -> heartbeat.Worker | None:
        return next((found for found in heartbeat.workers() if found.name == name and found.alive), None)

    return wait_until(living, 60, f"{name} lives")  # type: ignore[return-value]  # it waits until there is one


def done(action: str, argument: str = "") -> None:
    """Give the worker an order, and wait until its heartbeat says that it has carried it out."""
    assert remote_control.give(NODE, action, argument, by="grace").startswith(f"{NODE} was asked to")
    wait_until(lambda: not remote_control.pending(), 60)


def echo(queue: str = "default") -> AsyncResult:
    return app.send_task("demo.echo", ["x"], queue=queue)


@pytest.fixture
def go(tmp_path) -> Iterator[Path]:
    """Return the file that ends jobs of `at_work`, which are ended whatever happens."""
    yield tmp_path / "go"
    (tmp_path / "go").touch()


def at_work(go: Path, number: int = 1, node: str = NODE, queue: str = "default") -> list[AsyncResult]:
    """Return so many jobs that a worker says it runs, until the file exists."""
    jobs = [app.send_task(gated.NAME, [str(go)], queue=queue) for _ in range(number)]
    wait_until(lambda: {job.id for job in jobs} <= {row["job"] for row in said(node).running}, 60)
    return jobs


def test_a_paused_queue_stays_paused_for_a_worker_that_is_started_later(worker):
    assert "Not confirmed" not in pauses.pause("queue", "default", by="grace", reason="deploy")
    wait_until(lambda: said().paused == ["default"], 60)  # one that is just starting has not said so yet
    job = echo()
    with Worker(name="later", concurrency=1) as later:
        wait_until(lambda: said("later@test").paused == ["default"], 60)
        wait_until(lambda: redis.client().llen("default") == 1, 60)  # one that was asked for already comes back
        assert not job.ready()
        assert "Not confirmed" not in pauses.resume("queue", "default", by="grace")
        assert job.get(timeout=60) == "x"
        later.stop()
    assert held.current() == {}


def test_a_paused_task_waits_and_others_go_on(worker):
    pauses.pause("task", "demo.echo", by="grace", reason="bug")
    jobs = [echo(), echo()]
    assert app.send_task("demo.give", [3], queue="default").get(timeout=60) == 3
    assert not any(job.ready() for job in jobs)
    assert redis.client().llen("default") == 0
    pauses.resume("task", "demo.echo", by="grace")
    assert [job.get(timeout=60) for job in jobs] == ["x", "x"]


def test_a_quiet_worker_takes_nothing_until_it_is_asked_to(worker):
    done("quiet")
    job = echo()
    assert (said().quiet, said().queues, said().takes_jobs) == (True, ["default"], False)
    # The worker may have asked for one more message before it was asked: that one comes back to the queue.
    wait_until(lambda: redis.client().llen("default") == 1, 60)
    assert not job.ready()
    done("loud")
    assert job.get(timeout=60) == "x"


def test_the_pool_grows_and_shrinks_and_uses_what_it_has(worker, go):
    done("grow", "1")
    assert said().concurrency == 3
    jobs = at_work(go, 3)
    go.touch()
    assert [job.get(timeout=60) for job in jobs] == ["gated"] * 3
    done("shrink", "1")
    assert said().concurrency == 2
    with pytest.raises(WrongCommand, match="keeps at least one"):
        remote_control.give(NODE, "shrink", "2", by="grace")


def test_a_worker_consumes_one_more_queue_and_gives_it_up(worker):
    job = echo("gpu")
    done("add", "gpu")
    assert job.get(timeout=60) == "x"
    done("cancel", "gpu")
    assert said().queues == ["default"]
    with pytest.raises(NoSuchWorker):
        remote_control.give("nobody@test", "quiet", by="grace")


def test_the_stack_of_a_running_job_says_where_it_is(worker, go):
    (job,) = at_work(go)
    text = remote_control.stack(job.id)
    assert "acceptance/gated.py" in text
    assert "in work" in text
    go.touch()
    assert job.get(timeout=60) == "gated"  # asking did it no harm
    wait_until(lambda: job.id not in said().held, 60)
    with pytest.raises(NoSuchWorker):
        remote_control.stack(job.id)


def test_a_drain_waits_for_what_runs_and_takes_nothing_more(worker, go):
    said_lines: list[str] = []
    (job,) = at_work(go)
    (busy,) = drain.drain([NODE], timeout=0.5, by="grace", notify=said_lines.append)
    assert [row["job"] for row in busy.running] == [job.id]
    assert said_lines[0].startswith(f"Waiting: {NODE} runs 1")
    late = echo()
    go.touch()
    assert drain.drain([NODE], timeout=90, by="grace", notify=said_lines.append) == []
    assert job.ready()
    assert drain.undo([NODE], by="grace") == 1
    assert late.get(timeout=60) == "x"


@contextmanager
def standing(worker: Worker) -> Iterator[None]:
    """Let a worker stand still inside the block."""
    os.killpg(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(worker.pid, signal.SIGCONT)


def test_a_purge_under_load_ends_what_it_takes_and_nothing_else(worker):
    """While one program sends and a worker runs, each job is run once or cancelled, and as many are cancelled as it says."""
    ids: list[str] = []
    enough = Event()

    def send() -> None:
        while not enough.is_set():
            if redis.client().llen("default") < 200:
                ids.append(echo().id)
            else:  # to keep some waiting is enough: all of them have to end before the test does
                enough.wait(0.01)

    def some_wait():
        return wait_until(lambda: sum(found := operations.preview("default")) > 9 and found, 60)

    def purge(counts):
        text = operations.purge("default", counts, by="grace", reason="too many")
        return int(text.removeprefix("Removed ").split()[0])

    with Recorder(), ThreadPoolExecutor(1) as other:
        sending = other.submit(send)
        removed = []
        try:
            for _ in range(3):
                with standing(worker):  # which may be quicker than who sends, and than the purge
                    counts = some_wait()
                removed.append(purge(counts))
            with standing(worker):
                removed.append(purge(some_wait()))
        finally:
            enough.set()
        sending.result(60)
        wait_until(lambda: Job.objects.filter(pk__in=ids, state__in=FINISHED).count() == len(ids), 180)
    states = Counter(Job.objects.filter(pk__in=ids).values_list("state", "attempts"))
    assert states == {("succeeded", 1): len(ids) - sum(removed), ("cancelled", 0): sum(removed)}
    assert sum(removed) > 0
    assert redis.client().llen("default") == 0


def test_threads_show_their_stack_and_end_when_they_are_asked_to(worker, go):
    pauses.pause("queue", "default", by="grace", reason="the other worker is meant")
    with Worker(name="threads", pool="threads", queues="heavy", concurrency=2, app=gated.APP) as threads:
        (job,) = at_work(go, node="threads@test", queue="heavy")
        assert "in work" in remote_control.stack(job.id)
        go.touch()
        with pytest.raises(WrongCommand, match="cannot change its size"):
            remote_control.give("threads@test", "grow", "1", by="grace")
        remote_control.give("threads@test", "stop", by="grace")
        wait_until(lambda: threads.popen.poll() is not None, 60)
        assert job.get(timeout=60) == "gated"
    pauses.resume("queue", "default", by="grace")
    assert remote_control.pending() == {}
