"""Limits over all workers, and fair turns: with real workers, plain Celery and Redis."""

import time
from collections import Counter

import pytest
from celery import current_app

from jobroom import redis
from jobroom.celery import task_limits
from jobroom.jobs.models import Job, State
from jobroom.jobs.queue_position import waiting
from jobroom.queues import limits
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(360)]
APP = "tests.acceptance.limit_app"
# The same for all tests of this file: forked from one warm Django.
ENV = {"IMAGE_FAIR_QUEUES": "ml"}


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def worker(name="one", **more) -> Worker:
    return Worker(app=APP, name=name, env=ENV, **more)


def send(task: str, *args, person="", queue="default") -> str:
    headers = {task_limits.PERSON: person} if person else {}
    return str(current_app.send_task(f"limits: {task}", args, queue=queue, headers=headers).id)


def listed(name: str) -> list[str]:
    return [str(item) for item in redis.client().lrange(name, 0, -1)]


def group(name: str) -> task_limits.Group | None:
    return next((one for one in task_limits.groups() if one.name == name), None)


def test_no_more_than_the_limit_run_on_all_workers_and_every_job_does(tmp_path):
    with running(worker("one", concurrency=4), worker("two", concurrency=4)):
        for _ in range(40):
            send("count", str(tmp_path / "go"))
        wait_until(lambda: len(listed("counted")) == 3, 60, "as many run as may")
        (tmp_path / "go").touch()
        wait_until(lambda: len(listed("counted")) == 40, 60, "every job has run")
        wait_until(lambda: not task_limits.groups(), 60, "no place is kept")
    assert max(map(int, listed("counted"))) == 3


def test_each_key_counts_alone_the_page_says_why_a_job_waits_and_a_place_can_be_taken_away(tmp_path, admin_client):
    go = tmp_path / "go"
    with running(worker(concurrency=6), Recorder(env=ENV)):
        ids = [send("hold", "acme", str(go)) for _ in range(4)] + [send("hold", "other", str(go))]
        wait_until(lambda: len(listed("ran")) == 3, 60, "two of one key and one of the other run")
        wait_until(lambda: (one := group("limits: hold:acme")) and one.waiting == 2, 60, "two wait")
        late = next(iter(set(ids[:4]) - set(group("limits: hold:acme").holders)))
        wait_until(lambda: Job.objects.filter(pk=late, state=State.QUEUED).exists(), 60, "it is in the history")
        row = Job.objects.get(pk=late)
        assert waiting([row])[late].turn == "limit reached: 2 of 2 running for key acme"
        page = admin_client.get(f"/jobs/{late}/").content.decode()
        assert "Limit reached: 2 of 2 running for key acme" in page
        assert f"/locks/?job={late}#limit-" in page
        assert Counter(line.split()[0] for line in listed("ran")) == {"acme": 2, "other": 1}
        first = next(iter(group("limits: hold:acme").holders))
        said = limits.free("limits: hold:acme", first, by="grace", reason="stuck")
        assert "the next one may start" in said
        wait_until(lambda: len(listed("ran")) == 4, 60, "the next one has begun beside them")
        go.touch()
        wait_until(lambda: len(listed("ran")) == 5, 60, "the last one has run")
        wait_until(lambda: Job.objects.filter(state=State.SUCCEEDED).count() == 5, 60, "all ended")


def test_a_killed_worker_gives_its_places_back(tmp_path):
    go = tmp_path / "go"
    with running(Recorder(env=ENV)):
        with running(doomed := worker("doomed", concurrency=2)):
            held = {send("hold", "acme", str(go)) for _ in range(2)}
            wait_until(lambda: len(listed("ran")) == 2, 60, "both run")
            doomed.kill()
        with running(worker("heir", concurrency=2)):
            later = send("hold", "acme", str(go))
            wait_until(lambda: (one := group("limits: hold:acme")) and one.waiting == 1, 60, "the third waits")
            go.touch()
            wait_until(lambda: Job.objects.filter(pk=later, state=State.SUCCEEDED).exists(), 90, "it has run")
            wait_until(
                lambda: not Job.objects.filter(pk__in=held).exclude(state=State.SUCCEEDED).exists(), 60, "they too"
            )


def test_a_rate_holds_over_all_workers():
    with running(worker("one", concurrency=4), worker("two", concurrency=4)):
        begun = time.time()
        for _ in range(8):
            send("rated")
        wait_until(lambda: len(listed("started")) == 8, 60, "every job has started")
    starts = sorted(float(moment) - begun for moment in listed("started"))
    # Two at once, then one each half second. A busy machine starts a job later than it may, and never earlier.
    assert all(start > (number - 1) / 2 - 0.05 for number, start in enumerate(starts)), starts


def test_one_persons_many_jobs_do_not_hold_up_anothers_one():
    for number in range(300):
        send("say", f"ada {number}", person="1", queue="ml")
    with running(worker(concurrency=1, queues="ml")):
        wait_until(lambda: len(listed("said")) > 5, 60, "it has begun")
        send("say", "grace", person="2", queue="ml")
        send("say", "grace", person="2", queue="ml")
        before = len(listed("said"))
        wait_until(lambda: len(listed("said")) == 302, 60, "all have run")
        wait_until(lambda: not task_limits.groups(), 60, "no place is kept")
    said = listed("said")
    ada = [int(word.split()[1]) for word in said if word != "grace"]
    assert ada == sorted(ada), "each person's own jobs keep their order"
    assert [at for at, word in enumerate(said) if word == "grace"][1] < before + 20, said


def test_what_a_killed_worker_held_of_a_fair_queue_runs_once_more_and_no_ones_turn_is_lost(tmp_path):
    go = str(tmp_path / "go")
    with running(Recorder(env=ENV)):
        sent = [send("say late", f"ada {number}", go, person="1", queue="ml") for number in range(30)]
        with running(doomed := worker("doomed", concurrency=2, queues="ml")):
            wait_until(lambda: len(listed("said")) == 2, 60, "two run")
            doomed.kill()
        sent.append(send("say late", "grace", go, person="2", queue="ml"))
        (tmp_path / "go").touch()
        with running(worker("heir", concurrency=1, queues="ml")):
            done = Job.objects.filter(pk__in=sent, state=State.SUCCEEDED)
            wait_until(lambda: done.count() == len(sent), 120, "all have run")
            wait_until(lambda: not task_limits.groups(), 60, "no place is kept")
    said = listed("said")
    again = Counter(said)
    assert sorted(word for word, times in again.items() if times > 1) == sorted(said[:2]), "those that had started"
    assert said.index("grace") < 25, said


def test_what_was_purged_leaves_no_empty_place():
    with running(worker(concurrency=1, queues="ml")):
        send("say", "a", person="1", queue="ml")
        wait_until(lambda: listed("said") == ["a"], 60, "the worker works")
    client = redis.client()
    client.sadd(redis.key("turns"), "limits: count")
    client.hset(
        redis.key("turn", "limits: count:info"), mapping={"most": 1, "task": "limits: count", "key": "", "rate": ""}
    )
    client.zadd(redis.key("turn", "limits: count:holders"), {"gone": 1.0})
    client.hset(redis.key("turns", "held"), "gone", "limits: count")
    limits.sweep()
    assert task_limits.groups() == []
