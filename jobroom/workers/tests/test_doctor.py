"""The doctor finds what is wrong, and says why and what to do; each check is tried with its trouble and without."""

import json
import time
from types import SimpleNamespace
from unittest import mock

import pytest
from celery import current_app
from django.core.management import call_command

from jobroom import redis
from jobroom.celery import beat
from jobroom.workers import doctor
from jobroom.workers.doctor import configuration, findings, processes
from jobroom.workers.tests.engine import worker
from jobroom.workers.tests.test_probes import all_there

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clean():
    redis.client().flushdb()


def only(check) -> doctor.Finding:
    found: list[doctor.Finding] = list(check())
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def conf():
    """Change Celery's settings for a test."""
    changed = current_app.conf.maps[0]
    before = dict(changed)
    yield lambda **values: current_app.conf.update(values)
    changed.clear()
    changed.update(before)


def test_a_visibility_timeout_below_a_time_limit_is_an_error(conf):
    assert only(configuration.visibility).state == "ok"
    conf(broker_transport_options={"visibility_timeout": 600}, task_time_limit=1200)
    found = only(configuration.visibility)
    assert found.state == "error"
    assert "gives a job away that runs still" in found.detail
    assert "visibility_timeout" in found.action
    conf(broker_transport_options={"visibility_timeout": 20}, task_time_limit=10)
    assert "a lock lives for 30 s" in only(configuration.visibility).detail
    conf(broker_transport_options={}, task_time_limit=None)
    assert only(configuration.visibility).state == "warning"


def test_a_soft_limit_that_never_comes(conf):
    conf(task_soft_time_limit=None, task_time_limit=None)
    assert only(configuration.time_limits).state == "ok"
    conf(task_soft_time_limit=60, task_time_limit=60)
    assert only(configuration.time_limits).state == "warning"


def test_what_would_wait_for_ever(conf):
    assert only(configuration.patience).state == "ok"
    conf(broker_transport_options={})
    assert "socket_timeout" in only(configuration.patience).action
    conf(broker_transport_options={"socket_timeout": 3}, broker_pool_acquire_timeout=None)
    assert "BROKER_POOL_ACQUIRE_TIMEOUT" in only(configuration.patience).action


def test_debug_is_an_error_where_others_may_ask(settings):
    settings.DEBUG = False
    assert only(configuration.debug).state == "ok"
    settings.DEBUG, settings.ALLOWED_HOSTS = True, ["localhost", "127.0.0.1"]
    assert only(configuration.debug).state == "ok"
    settings.ALLOWED_HOSTS = ["jobs.example.org"]
    assert only(configuration.debug).state == "error"


def test_admins_without_an_address(settings, django_user_model):
    settings.ADMINS = [("Ada", "ada@example.org")]
    assert only(configuration.admins).state == "ok"
    django_user_model.objects.create_superuser("grace", email="")
    assert "grace" in only(configuration.admins).detail
    settings.ADMINS = []
    assert [found.state for found in configuration.admins()] == ["warning", "warning"]
    settings.ADMINS = [("Ada", "ada")]
    assert next(configuration.admins()).state == "error"


def test_a_queue_of_a_task_that_no_one_serves():
    queues = sorted({doctor.processes.default_queue(task) for task in findings.our_tasks()})
    worker("all@a/1", queues=queues)
    assert only(processes.queues).state == "ok"
    worker("all@a/1", queues=[queue for queue in queues if queue != "heavy"])
    found = only(processes.queues)
    assert (found.state, "-Q heavy" in found.action) == ("error", True)
    assert "assets." in found.detail


@pytest.mark.parametrize(
    ("pool", "broken"),
    [("prefork", []), ("gevent", ["soft"]), ("threads", ["soft", "hard"]), ("eventlet", ["soft", "hard"])],
)
def test_time_limits_that_a_pool_does_not_hold(conf, pool, broken):
    worker("a@a/1", pool=pool, queues=["nobody"])
    assert only(processes.limits_of_pools).state == "ok"
    conf(task_soft_time_limit=60, task_time_limit=90)
    worker("a@a/1", pool=pool)
    found = list(processes.limits_of_pools())
    if not broken:
        assert [one.state for one in found] == ["ok"]
        return
    assert [one.state for one in found] == ["warning"] * len(broken)
    for kind, one in zip(broken, found, strict=True):
        assert f"The pool {pool} of a@a holds no {kind} time limit" in one.detail
        assert "prefork" in one.action


def say(scheduler: str, host: str, ours: bool) -> None:
    row = {"scheduler": scheduler, "ours": ours, "host": host, "pid": 7, "at": redis.now()}
    redis.client().hset(redis.key("beats"), host, json.dumps(row))


def test_two_stock_beats_are_an_error_and_any_number_of_ours_is_not():
    assert only(processes.schedulers).state == "ok"
    say("jobroom.schedules.scheduler.Scheduler", "a", ours=True)
    say("jobroom.schedules.scheduler.Scheduler", "b", ours=True)
    assert only(processes.schedulers).state == "ok"
    redis.client().delete(redis.key("beats"))
    say("celery.beat.PersistentScheduler", "a", ours=False)
    assert only(processes.schedulers).state == "warning"
    say("celery.beat.PersistentScheduler", "b", ours=False)
    found = only(processes.schedulers)
    assert (found.state, "run 2 times" in found.detail) == ("error", True)


def test_every_beat_says_that_it_is_there_and_takes_it_back():
    from celery.beat import PersistentScheduler

    for scheduler, ours in ((PersistentScheduler, False), (type("Own", (doctor_scheduler(),), {}), True)):
        service = mock.Mock(scheduler=mock.Mock(spec=scheduler, __class__=scheduler))
        service.scheduler = object.__new__(scheduler)
        beat._begin(service)
        deadline = time.monotonic() + 30
        while not beat.running() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [one.ours for one in beat.running()] == [ours]
        service.sync()
        assert beat.running() == []


def doctor_scheduler():
    from jobroom.schedules.scheduler import Scheduler

    return Scheduler


def test_clocks_that_differ():
    worker("a@a/1", silent=0, ahead=0)
    assert only(processes.clocks).state == "ok"
    worker("a@a/1", silent=0, ahead=-7)
    found = only(processes.clocks)
    assert (found.state, "a@a by -7" in found.detail) == ("warning", True)
    worker("a@a/1", silent=0, ahead=90)
    assert only(processes.clocks).state == "error"


@pytest.mark.parametrize(("before", "after", "skew"), [(-4, 8, 0), (5, 13, 5), (-13, -5, -5)])
def test_how_long_the_answer_took_is_no_difference_of_clocks(monkeypatch, before, after, skew):
    """Of a machine that stood still meanwhile the middle of both times says nothing."""
    times = iter([1000.0 + before, 1000.0 + after])
    monkeypatch.setattr(processes, "time", SimpleNamespace(time=lambda: next(times)))
    monkeypatch.setattr(processes, "redis", SimpleNamespace(client=lambda: None, now=lambda client: 1000.0))
    assert processes._own_skew() == skew


def test_a_redis_that_may_throw_things_away_or_is_nearly_full():
    client = redis.client()
    before = client.config_get("maxmemory*")
    try:
        client.config_set("maxmemory", "0")
        assert only(processes.server).state == "ok"
        client.config_set("maxmemory", str(10**9))
        client.config_set("maxmemory-policy", "allkeys-lru")
        found = only(processes.server)
        assert (found.state, "noeviction" in found.action) == ("error", True)
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", str(int(client.info("memory")["used_memory"] * 1.02)))
        assert only(processes.server).state == "warning"
    finally:
        client.config_set("maxmemory", before["maxmemory"])
        client.config_set("maxmemory-policy", before["maxmemory-policy"])


def test_the_worst_comes_first_and_decides_the_exit_code(capsys, settings):
    all_there()
    settings.DEBUG, settings.ALLOWED_HOSTS = True, ["jobs.example.org"]
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", json=True)
    assert ended.value.code == 1
    found = json.loads(capsys.readouterr().out)
    states = [doctor.STATES.index(one["state"]) for one in found]
    assert states == sorted(states)
    debug = next(one for one in found if one["check"] == "debug")
    assert debug["action"] == "Set DEBUG to False."


def test_warnings_count_with_strict_alone(monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda: [findings.warning("x", "y", "z")])
    call_command("doctor")
    with pytest.raises(SystemExit):
        call_command("doctor", strict=True)


def test_a_check_that_breaks_or_a_redis_that_is_away_leaves_the_others(settings, monkeypatch):
    def broken():
        raise ZeroDivisionError
        yield

    monkeypatch.setitem(configuration.CHECKS, "debug", broken)
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    found = {one.check: one for one in doctor.examine()}
    assert "ZeroDivisionError" in found["debug"].detail
    assert found["clocks"].state == "unknown"
    assert found["time limits"].state == "ok"
    assert found["redis"].state == "error"


def test_page_and_api_say_the_same(admin_client):
    all_there()
    page = admin_client.get("/doctor/").content.decode()
    answer = admin_client.get("/api/doctor/").json()
    assert {one["check"] for one in answer} >= {"clocks", "debug", "visibility timeout", "disk", "migrations"}
    trouble = next(one for one in answer if one["state"] != "ok")
    assert trouble["detail"][:30].replace("'", "&#x27;") in page
