"""Exclusive tasks in a real worker with two pool processes."""

import json
import os
import signal
import subprocess

import pytest
from celery import chain, chord, group

from jobroom import events, redis
from jobroom.locks import ExclusiveLock, holder, holders
from jobroom.testing import wait_until
from jobroom.testing.processes import Worker
from tests.acceptance import lock_app as tasks

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

APP = "tests.acceptance.lock_app"


@pytest.fixture(scope="module")
def worker():
    redis.client().flushdb()  # other tests leave queues and odd events
    with Worker(app=APP, concurrency=2) as running:
        yield running


@pytest.fixture
def held(worker):
    """The lock of the blocking tasks, held by the test."""
    lock = ExclusiveLock("turn", job="the test")
    assert lock.acquire(wait=90)
    yield lock
    lock.release()


def events_of(job, *types):
    rows = [json.loads(fields["e"]) for _, fields in redis.client().xrange(events.stream())]
    return [row for row in rows if row["job"] == job and (not types or row["type"] in types)]


def waits(result):
    return wait_until(lambda: events_of(result.id, "waiting"), what="it goes back to its queue")


def test_run_and_delay_lock_each_other(worker, tmp_path):
    go = str(tmp_path / "go")
    first = tasks.Hold().delay(go)
    shown = wait_until(lambda: holder("hold"))
    assert (shown.job, shown.task) == (first.id, "locks: hold")
    assert tasks.Hold().run(go) == "Hold already running!"
    second = tasks.Hold().delay(go)
    assert second.get(timeout=60) == "Hold already running!"
    assert second.state == "SUCCESS"
    (end,) = wait_until(lambda: events_of(second.id, "finished"))
    assert (end["state"], end["holder"]) == ("skipped", first.id)
    (tmp_path / "go").touch()
    assert first.get(timeout=60) == "held"
    (end,) = wait_until(lambda: events_of(first.id, "finished"))
    assert end["state"] == "succeeded"
    with ExclusiveLock("hold"):
        assert tasks.Hold().delay(go).get(timeout=60) == "Hold already running!"
    assert tasks.Hold().run(go) == "held"


def test_waiting_jobs_leave_the_pool_to_others(held, tmp_path):
    turns = [tasks.turn.delay(str(tmp_path), number) for number in range(5)]
    for result in turns:
        waits(result)
    quick = [tasks.quick.delay(number) for number in range(10)]
    assert [result.get(timeout=60) for result in quick] == list(range(10))
    assert not any(result.ready() for result in turns)
    held.release()
    found = [result.get(timeout=60) for result in turns]
    assert [answer["number"] for answer in found] == list(range(5))


def test_a_job_that_waited_is_still_the_same_attempt(held, tmp_path):
    result = tasks.turn.delay(str(tmp_path), 1)
    (waiting, *_) = waits(result)
    assert (waiting["lock"], waiting["holder"]) == ("turn", "the test")
    held.release()
    assert result.get(timeout=60) == {"number": 1, "retries": 0, "parent": None, "root": result.id}
    wait_until(lambda: events_of(result.id, "finished"))
    found = [event["type"] for event in events_of(result.id)]
    assert found[:3] == ["queued", "started", "waiting"]
    assert found[-2:] == ["started", "finished"]
    assert found.count("queued") == 1
    assert found.count("finished") == 1
    assert {event["retries"] for event in events_of(result.id, "started")} == {0}


def test_a_wait_has_an_end(held):
    result = tasks.impatient.delay()
    assert result.get(timeout=60) == "Impatient already running!"
    assert events_of(result.id, "waiting")
    (end,) = wait_until(lambda: events_of(result.id, "finished"))
    assert (end["state"], end["holder"]) == ("skipped", "the test")


def test_a_chain_goes_on_after_a_node_that_waited(held):
    steps = chain(tasks.quick.s(3), tasks.same.s(), tasks.quick.s()).apply_async()
    waits(steps.parent)
    assert not steps.ready()
    held.release()
    assert steps.get(timeout=60) == 3
    assert events_of(steps.id, "queued")[0]["parent"] == steps.parent.id


def test_a_chord_counts_a_node_that_waited_once(held):
    header = group(tasks.quick.s(1), tasks.same.s(2), tasks.same.s(3))
    body = chord(header)(tasks.total.s())
    for node in body.parent.results[1:]:
        waits(node)
    assert not body.ready()
    held.release()
    assert body.get(timeout=60) == 6
    assert [node.get(timeout=60) for node in body.parent.results] == [1, 2, 3]


def test_links_of_a_node_that_waited_are_called(held):
    result = tasks.same.apply_async((5,), link=tasks.quick.s())
    waits(result)
    held.release()
    assert result.get(timeout=60) == 5
    (child,) = result.children
    assert child.get(timeout=60) == 5


def test_a_retry_frees_the_lock_and_takes_it_again(worker):
    assert tasks.again.delay("retry").get(timeout=60) == [1, "locks: again"]
    wait_until(lambda: holder("again retry") is None)


def test_a_retry_may_wait_too(worker):
    lock = ExclusiveLock("again waited", job="the test")
    assert lock.acquire()
    result = tasks.again.delay("waited")
    waits(result)
    lock.release()
    assert result.get(timeout=60) == [1, "locks: again"]
    assert [event["retries"] for event in events_of(result.id, "queued")] == [0, 1]


def test_the_soft_time_limit_frees_the_lock(worker):
    result = tasks.limited.delay()
    wait_until(result.ready, 60)
    assert result.state == "FAILURE"
    wait_until(lambda: holder("limited") is None, 60, "well before the time to live of 30 s")


def test_the_hard_time_limit_frees_the_lock(worker):
    result = tasks.killed.delay()
    wait_until(result.ready, 60)
    assert result.state == "FAILURE"
    wait_until(lambda: holder("killed by its limit") is None, 60, "well before the time to live of 30 s")


def test_calls_from_inside_a_job_do_not_change_its_outcome(worker):
    with ExclusiveLock("hold"):
        result = tasks.nested.delay()
        assert result.get(timeout=60) == ["Nested already running!", "Hold already running!"]
    (end,) = wait_until(lambda: events_of(result.id, "finished"))
    assert end["state"] == "succeeded"


def test_a_job_that_runs_again_after_its_process_was_killed_is_not_skipped(worker, tmp_path):
    go = tmp_path / "go"
    result = tasks.pid.delay(str(go))
    mark = tmp_path / "go.pid"
    first = int(wait_until(lambda: mark.exists() and mark.read_text()))
    before = holder(f"pid {go}")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: mark.read_text() not in {"", str(first)}, 60, "another process runs it")
    assert holder(f"pid {go}").fencing > before.fencing
    go.touch()
    assert result.get(timeout=60) != first
    wait_until(lambda: [event["state"] for event in events_of(result.id, "finished")][-1:] == ["succeeded"])


def test_the_remains_of_the_same_job_are_waited_for(worker, tmp_path):
    go = tmp_path / "go"
    go.touch()
    job = "job-with-remains"
    # What an attempt leaves whose whole machine died.
    remains = ExclusiveLock(f"pid {go}", ttl=20, job=job)
    assert remains.acquire()
    result = tasks.pid.apply_async((str(go),), task_id=job)
    waits(result)
    remains.release()
    assert isinstance(result.get(timeout=60), int)


def test_a_worker_that_is_stopped_leaves_no_lock(tmp_path):
    with Worker(app=APP, concurrency=1, name="stopped", queues="stopping") as worker:
        result = tasks.Hold().apply_async((str(tmp_path / "never"),), queue="stopping")
        pid = wait_until(lambda: holder("hold")).pid
        wait_until(lambda: keepers_of(pid), 60, "the keeper is there: the lock is taken first")
        worker.popen.send_signal(signal.SIGQUIT)
        worker.popen.wait(90)
    wait_until(lambda: "hold" not in {found.name for found in holders()}, 60, "well before the time to live")
    wait_until(lambda: not keepers_of(pid), 60, "the keeper has ended")
    result.forget()


def keepers_of(pid):
    listed = subprocess.run(["ps", "-ww", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.rstrip().endswith(f"renewer.py {pid}")]


def test_a_pool_of_threads_has_exclusive_tasks_too(tmp_path):
    with Worker(app=APP, concurrency=2, pool="threads", name="threads", queues="threads"):
        lock = ExclusiveLock("turn", job="the test")
        assert lock.acquire()
        turns = [tasks.turn.apply_async((str(tmp_path), number), queue="threads") for number in range(3)]
        for result in turns:
            waits(result)
        assert tasks.quick.apply_async((4,), queue="threads").get(timeout=60) == 4
        lock.release()
        assert [result.get(timeout=60)["number"] for result in turns] == [0, 1, 2]
