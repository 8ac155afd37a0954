"""Shared resources in real workers, in every kind of pool."""

import os
import signal
import time

import pytest

from jobroom import redis
from jobroom.events import heartbeat
from jobroom.testing import wait_until, write_whole
from jobroom.testing.processes import Worker
from tests.acceptance import resource_app as tasks

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(360), pytest.mark.django_db(transaction=True)]

APP = "tests.acceptance.resource_app"
IMPATIENT = {
    "DJANGO_SETTINGS_MODULE": "tests.acceptance.resource_settings",
}


@pytest.fixture(scope="module")
def one_folder(tmp_path_factory):
    """The same for all tests, so that their workers have the same environment and are forked from a warm one."""
    return tmp_path_factory.mktemp("resources")


@pytest.fixture
def folder(one_folder, monkeypatch):
    redis.client().flushdb()  # messages that another test left would load something here
    for path in one_folder.iterdir():
        path.unlink()
    monkeypatch.setattr(tasks, "FOLDER", one_folder)
    return one_folder


def worker(folder, queues, *options, **kwargs):
    env = {**IMPATIENT, "RESOURCE_FOLDER": str(folder)}
    return Worker(*options, app=APP, queues=queues, env=env, **kwargs)


QUEUES = {"res.own": "own", "res.argument": "own", "res.long": "own", "res.shared": "shared", "res.long_shared": "shared",
          "res.idle": "idle", "res.picky": "mixed", "res.simple": "mixed"}  # fmt: skip


def send(task, *args, **kwargs):
    return task.apply_async(args, kwargs, queue=QUEUES[task.name])


def reported(process):
    """What the worker's heartbeat says; resources by name."""
    (found,) = [found for found in heartbeat.workers() if found.pid == process.pid]
    return found, {row["name"]: row for row in found.resources}


def state(process, name):
    return reported(process)[1][name]["state"]


def is_loaded(process, name):
    return wait_until(lambda: state(process, name) == "ready", 60, f"{name} is loaded")


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_one_load_in_the_process_itself(folder, pool):
    with worker(folder, "own", pool=pool) as process:
        results = [send(tasks.own).get(timeout=60) for _ in range(3)]
        assert tasks.loads() == [f"own_model 1 {process.pid}"]
        assert results == [{"version": "1", "loader": process.pid, "pid": process.pid}] * 3


def test_every_child_loads_before_its_first_job(folder):
    with worker(folder, "own", concurrency=2) as process:
        is_loaded(process, "own_model")
        wait_until(lambda: len(tasks.loads()) == 2)
        result = send(tasks.own).get(timeout=60)
        assert result["loader"] == result["pid"] != process.pid
        assert len(tasks.loads()) == 2


def test_children_inherit_what_was_loaded_before_the_fork(folder):
    with worker(folder, "shared", concurrency=2) as process:
        results = [send(tasks.shared).get(timeout=60) for _ in range(4)]
        assert {result["loader"] for result in results} == {process.pid}
        assert process.pid not in {result["pid"] for result in results}
        assert len(tasks.loads()) == 1


def test_resource_as_an_argument(folder):
    with worker(folder, "own", concurrency=1):
        assert send(tasks.argument, 5, 7).get(timeout=60) == [5, "1", 7]
        assert send(tasks.argument, 5).get(timeout=60) == [5, "1", 2]
        assert send(tasks.argument, first=6).get(timeout=60) == [6, "1", 2]


@pytest.mark.parametrize("queue", ["own", "shared"])
def test_child_that_replaces_a_killed_one_has_it_too(folder, queue):
    task = getattr(tasks, queue)
    with worker(folder, queue, concurrency=1) as process:
        first = send(task).get(timeout=60)
        os.kill(first["pid"], signal.SIGKILL)
        second = send(task).get(timeout=60)
        assert second["pid"] != first["pid"]
        assert second["loader"] == (process.pid if queue == "shared" else second["pid"])


@pytest.mark.parametrize(("queue", "pool"), [("own", "prefork"), ("shared", "prefork"), ("own", "threads")])
def test_jobs_wait_for_a_loader_that_fails_and_then_succeeds(folder, queue, pool):
    name = f"{queue}_model"
    (folder / f"{name}-is-broken").touch()
    with worker(folder, f"{queue},mixed", concurrency=1, pool=pool) as process:
        wait_until(lambda: state(process, name) == "failed" and len(tasks.loads()) >= 3, 60)
        found, rows = reported(process)
        assert "no such model" in rows[name]["error"]
        assert found.waiting == {queue: [name]}
        waiting = send(getattr(tasks, queue))
        assert send(tasks.simple).get(timeout=60) == "done"  # other queues go on
        assert waiting.state == "PENDING"
        (folder / f"{name}-is-broken").unlink()
        assert waiting.get(timeout=60)["version"] == "1"
        wait_until(lambda: reported(process)[0].waiting == {})


def test_only_its_own_jobs_wait_for_a_resource_that_holds_jobs(folder):
    (folder / "picky_model-is-broken").touch()
    with worker(folder, "mixed", concurrency=1) as process:
        waiting = send(tasks.picky)
        assert send(tasks.simple).get(timeout=60) == "done"
        wait_until(lambda: state(process, "picky_model") == "failed", 60, "the heartbeat says so too")
        (folder / "picky_model-is-broken").unlink()
        assert waiting.get(timeout=60)["version"] == "0"


@pytest.mark.parametrize(("queue", "pool"), [("own", "prefork"), ("shared", "prefork"), ("own", "threads")])
def test_new_version_is_swapped_in_while_a_long_job_runs(folder, queue, pool):
    task, long = getattr(tasks, queue), tasks.Long() if queue == "own" else tasks.LongShared()
    go = folder / "go"
    with worker(folder, queue, concurrency=2, pool=pool) as process:
        running = send(long, str(go))
        wait_until((folder / "go.began").exists)
        assert send(task).get(timeout=60)["version"] == "1"
        write_whole(folder / "version", "2")
        wait_until(lambda: "2" in reported(process)[1][f"{queue}_model"]["versions"], 60)
        # Of processes with a model of their own, the one that is busy may have reported this, and the other be a moment later.
        wait_until(lambda: send(task).get(timeout=60)["version"] == "2", 60)
        assert not running.ready()
        go.touch()
        assert running.get(timeout=60) == ["1", "1"]
        wait_until(lambda: send(task).get(timeout=60)["version"] == "2")


def test_no_job_is_lost_while_versions_change(folder):
    with worker(folder, "shared", concurrency=2) as process:
        results = []
        for version in range(2, 5):
            write_whole(folder / "version", str(version))
            for _ in range(40):
                results.append(send(tasks.shared))
                time.sleep(0.02)
            wait_until(lambda v=version: reported(process)[1]["shared_model"]["versions"] == [str(v)], 60)
        versions = [int(result.get(timeout=60)["version"]) for result in results]
        # The first forty were sent while version 1 was there, the next when no one had an older one than 2, and so on; a job
        # that waits long may meet any newer one.
        assert all(number // 40 + 1 <= version <= 4 for number, version in enumerate(versions)), versions
        assert send(tasks.shared).get(timeout=60)["version"] == "4"


def test_one_that_is_not_used_is_dropped_and_the_next_job_loads_it(folder):
    with worker(folder, "idle", concurrency=1) as process:
        send(tasks.idle).get(timeout=60)
        used = redis.now()
        wait_until(lambda: reported(process)[0].seen > used and state(process, "idle_model") == "unloaded", 60)
        before = len(tasks.loads())  # more than one if it was dropped before the first job came, too
        assert send(tasks.idle).get(timeout=60)["version"] == "0"
        assert len(tasks.loads()) == before + 1


def test_an_unhealthy_one_is_replaced(folder):
    with worker(folder, "own", concurrency=1) as process:
        is_loaded(process, "own_model")
        write_whole(folder / "version", "2")
        wait_until(lambda: send(tasks.own).get(timeout=60)["version"] == "2", 60)
        (folder / "poison-2").touch()
        wait_until(lambda: len(tasks.loads()) >= 3, 60)


def test_a_worker_killed_while_it_loads_is_reported_and_its_job_is_done_by_the_next(folder, admin_client):
    slow = folder / "shared_model-is-slow"
    slow.touch()
    waiting = send(tasks.shared)
    with worker(folder, "shared", concurrency=1, name="first") as process:
        wait_until(lambda: state(process, "shared_model") == "loading")
        assert reported(process)[0].starting
        assert "Loading" in admin_client.get("/workers/").content.decode()
        process.kill()
        wait_until(lambda: not reported(process)[0].alive, 60)
        text = " ".join(admin_client.get("/workers/").content.decode().split())
        assert "while it was loading shared_model" in text
    slow.unlink()
    with worker(folder, "shared", concurrency=1, name="second"):
        assert waiting.get(timeout=60)["version"] == "1"


def test_a_worker_ends_in_order_while_it_loads(folder):
    for queue in ("shared", "own"):
        (folder / f"{queue}_model-is-slow").touch()
        with worker(folder, queue, concurrency=1) as process:
            wait_until(tasks.loads)
            began = time.monotonic()
            process.popen.terminate()
            process.popen.wait(90)
            assert time.monotonic() - began < 60, "it would load for ever"
        assert [found.pid for found in heartbeat.workers() if found.pid == process.pid] == []
        (folder / "loads").unlink()


def test_a_child_that_max_tasks_per_child_replaces_has_it_too(folder):
    with worker(folder, "own", "--max-tasks-per-child", "1", concurrency=1):
        results = [send(tasks.own).get(timeout=60) for _ in range(3)]
        assert len({result["pid"] for result in results}) == 3
        assert all(result["loader"] == result["pid"] for result in results)


def test_children_that_the_autoscaler_adds_have_it_too(folder):
    with worker(folder, "own", "--autoscale", "3,1", concurrency=1) as process:
        is_loaded(process, "own_model")
        going = [send(tasks.Long(), str(folder / "go")) for _ in range(3)]
        wait_until(lambda: reported(process)[1]["own_model"]["processes"] == 3, 60)
        (folder / "go").touch()
        assert [result.get(timeout=60) for result in going] == [["1", "1"]] * 3
