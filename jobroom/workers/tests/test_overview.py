"""The page of workers, the API and the command: workers, their resources, and what is wrong in words."""

import json
import re
import threading
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command

from jobroom import redis
from jobroom.resources import declared, resource
from jobroom.runner import restarts
from jobroom.testing import wait_until
from jobroom.workers import rescue
from jobroom.workers.overview import overview
from jobroom.workers.tests.engine import worker

pytestmark = pytest.mark.django_db

NOW = 1_000_000.0  # of the worker's clock, which is not ours
READY = {
    "name": "spam_model", "queues": ["ml"], "shared": True, "state": "ready", "since": NOW - 60, "error": "",
    "retry_at": 0.0, "attempts": 0, "versions": ["2026-11"], "next_version": None, "refused": None, "size": 5_000_000,
    "seconds": 12.5, "loaded_at": NOW - 60, "last_used": NOW - 5, "processes": 1, "states": {"ready": 1},
}  # fmt: skip
LOADING = {
    **READY,
    "state": "loading",
    "versions": [],
    "size": 0,
    "loaded_at": 0.0,
    "last_used": 0.0,
    "states": {"loading": 1},
}
FAILED = {
    **LOADING, "state": "failed", "error": "OSError: <b>no</b> such file", "attempts": 3, "retry_at": NOW + 40,
    "states": {"failed": 1},
}  # fmt: skip


@pytest.fixture(autouse=True)
def only_ours():
    redis.client().flushdb()
    before = dict(declared)
    declared.clear()
    yield
    declared.clear()
    declared.update(before)


@pytest.fixture
def staff(admin_client):
    return admin_client


def holding(*resources, instance="ml@a/1", silent=None, **data):
    return worker(instance, queues=["ml"], clock=NOW, resources=list(resources), silent=silent, **data)


def page(client):
    response = client.get("/workers/")
    return response.status_code, " ".join(response.content.decode().split())


def test_an_empty_page_teaches(staff):
    status, text = page(staff)
    assert (status, "No worker has been seen" in text, "manage.py jobroom up" in text) == (200, True, True)


def test_a_resource_is_shown_with_version_size_load_time_and_last_use(staff):
    holding(READY)
    _, text = page(staff)
    for words in (
        "1 worker, all well",
        "spam_model",
        "Ready",
        "2026-11",
        "4.8",
        "12.5 s",
        "one copy for all processes",
    ):
        assert words in text
    (row,) = overview().workers[0].resources
    seconds = (overview().workers[0].seen - row.last_used).total_seconds()
    assert seconds == pytest.approx(5, abs=0.5)


def test_a_failed_load_is_shown_with_error_and_next_try(staff):
    holding(FAILED, waiting={"ml": ["spam_model"]})
    _, text = page(staff)
    for words in (
        "Failed 3 times in a row",
        "Its jobs wait",
        "ml · waits for spam_model",
        "&lt;b&gt;no&lt;/b&gt;",
    ):
        assert words in text
    assert re.search(r"next try <time[^>]*>in [34]\d s</time>", text)
    assert "Queue ml waits on ml@a: spam_model is not loaded." in text


def test_a_worker_that_went_silent_while_it_loaded_is_shown(staff):
    holding(LOADING, silent=60, waiting={"ml": ["spam_model"]})
    _, text = page(staff)
    assert re.search(r"ml@a has been silent for 6\d s while it was loading spam_model\.", text)
    assert "said “loading” before it went silent" in text


def test_a_worker_that_loads_before_its_pool_is_starting(staff):
    holding(LOADING, starting=True)
    assert overview().workers[0].state == "starting"
    assert "Starting" in page(staff)[1]


def test_a_successor_reports_what_became_of_the_process_before_it(staff):
    holding(LOADING, silent=20, pid=11, held=["a-job"])
    holding(READY, instance="ml@a/2", pid=12, started=2.0)
    rescue.Round(redis.client(), None, *rescue.living_and_gone(rescue.heartbeat.workers()))._workers()
    (row,) = overview().workers
    assert re.search(r"\(11\) vanished 2\d s ago while it was loading spam_model, holding 1 job\.$", row.predecessor)
    assert re.search(r"\(11\) vanished \d+ s ago", page(staff)[1])


def test_a_resource_that_no_living_worker_serves_is_reported(staff):
    resource("lonely", queues=["graphs"])(lambda: 1)
    assert overview().problems == []  # no one works at all: that is reported otherwise
    holding(READY)
    assert "no one can load lonely" in page(staff)[1]


def test_a_worker_of_an_older_version_is_shown(staff):
    worker("default@a/1")
    assert overview().workers[0].resources == []
    assert page(staff)[0] == 200


def test_without_redis_the_page_says_so(staff, settings):
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    status, text = page(staff)
    assert (status, "Redis does not answer" in text) == (503, True)


def test_others_than_staff_do_not_see_it(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("visitor"))
    assert client.get("/workers/").status_code == 403
    assert client.get("/api/workers/").status_code == 403


def test_the_api_says_the_same(staff):
    holding(FAILED, waiting={"ml": ["spam_model"]})
    (row,) = staff.get("/api/workers/").json()
    assert (row["name"], row["state"], row["waiting"]) == ("ml@a", "waiting", {"ml": ["spam_model"]})
    (found,) = row["resources"]
    assert (found["state"], found["attempts"], found["ready"]) == ("failed", 3, 0)


def test_the_command_says_the_same(capsys):
    holding(READY)
    call_command("workers")
    out = capsys.readouterr().out
    assert "ml@a" in out
    assert "spam_model" in out
    assert "version 2026-11  5 MB  loaded in 12.5 s" in out
    call_command("workers", "--json")
    assert json.loads(capsys.readouterr().out)[0]["resources"][0]["name"] == "spam_model"


def test_the_command_without_redis_fails(settings):
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    with pytest.raises(CommandError, match="Redis does not answer") as error:
        call_command("workers")
    assert error.value.returncode == 1


class Part:
    """A part of a supervisor, with a process that is never started."""

    def __init__(self, pid, *argv):
        self.name, self.argv, self.process = "ml", list(argv), SimpleNamespace(pid=pid)


@pytest.fixture
def supervisor(monkeypatch):
    """A supervisor with a thread of its own and one worker; what it kills is in `killed`."""
    listener, killed, ended = restarts.Listener(""), [], threading.Event()
    monkeypatch.setattr(restarts, "sweep", killed.append)
    parts = [Part(41, "celery", "worker"), Part(42, "django", "record")]

    def loop():
        while not ended.wait(0.01):
            listener.turn(parts)

    turning = threading.Thread(target=loop)
    listener.turn(parts)
    listener.start(), turning.start()
    listener.killed = killed
    yield listener
    ended.set(), listener.end()
    turning.join(), listener.join()


def test_a_worker_that_hangs_is_killed_by_its_supervisor(staff, supervisor):
    host = supervisor.supervisor.rpartition(":")[0]
    worker("ml@a/41", silent=60, host=host, pid=41)
    wait_until(lambda: restarts.supervisor_of(host, 41), 30)
    assert "Kill it and start it again" in page(staff)[1]
    answer = staff.post(
        "/api/workers/control/", {"worker": "ml@a", "action": "restart", "reason": "it hangs"}, "application/json"
    )
    assert answer.status_code == 200, answer.content
    assert answer.json()["detail"].startswith("ml@a (process 41) was killed; it is started again. ml@a is forgotten")
    assert supervisor.killed == [41]
    assert restarts.ask(supervisor.supervisor, 42, by="x", seconds=20).startswith(
        "It runs no worker with the process id 42"
    )


def test_a_worker_of_someone_else_is_named_with_what_ends_it(staff):
    worker("ml@a/41", silent=60, host="far", pid=41)
    assert "Kill it and start it again" not in page(staff)[1]
    assert "<code>kill -9 41</code> on far" in page(staff)[1]
    with pytest.raises(CommandError, match="Run `kill -9 41` on far"):
        call_command("workers", "ml@a", "restart")
    worker("alive@a/43", host="far", pid=43)
    with pytest.raises(CommandError, match="no worker called “alive@a” that hangs"):
        call_command("workers", "alive@a", "restart")


def test_supervisors_are_read_once_for_all_that_hang(staff, monkeypatch):
    redis.client().hset(redis.key("supervisors"), "far:1", json.dumps({"at": redis.now(), "workers": [41, 42]}))
    for pid in (41, 42, 43):
        worker(f"w{pid}@a/{pid}", silent=60, host="far", pid=pid)
    read, times = restarts.supervised, []
    monkeypatch.setattr(restarts, "supervised", lambda: times.append(1) or read())
    assert page(staff)[1].count("Kill it and start it again") == 2
    assert len(times) == 1


def test_an_old_entry_of_a_supervisor_counts_no_more(monkeypatch):
    redis.client().hset(redis.key("supervisors"), "far:1", json.dumps({"at": redis.now() - 60, "workers": [41]}))
    assert restarts.supervisor_of("far", 41) is None
    assert not redis.client().exists(redis.key("supervisors"))
