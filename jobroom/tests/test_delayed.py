"""What is due later is kept by no one but Redis, and is sent once, shortly before its time."""

import random
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from image.celery import app
from jobroom import redis
from jobroom.celery import delayed
from jobroom.events import cancellation


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def queued(queue: str = "default") -> int:
    return int(redis.client().llen(queue))


def kept() -> dict[str, float]:
    found: Any = redis.client().zrange(redis.key("later"), 0, -1, withscores=True)
    return dict(found)


def later(**options):
    return app.send_task("demo.echo", ["x"], queue="default", **options)


def test_what_is_due_soon_goes_to_a_worker():
    later(countdown=10)
    assert (queued(), kept()) == (1, {})


@pytest.mark.parametrize("option", ["countdown", "eta"])
def test_what_is_due_later_is_kept_until_its_time(option):
    job = later(**{option: 3600 if option == "countdown" else datetime.now(UTC) + timedelta(hours=1)})
    assert queued() == 0
    assert kept()[job.id] == pytest.approx(redis.now() + 3600, abs=120)
    assert delayed.kept([job.id, "other"]) == {job.id}
    assert delayed.release(app) == 0
    redis.client().zadd(redis.key("later"), {job.id: redis.now() + 1})
    assert delayed.release(app) == 1
    assert (queued(), kept(), redis.client().hlen(redis.key("later", "messages"))) == (1, {}, 0)
    assert delayed.release(app) == 0


def test_the_message_is_the_one_that_celery_would_have_sent():
    options = {"priority": 3, "headers": {"x": 1}, "expires": 7200}
    direct = later(countdown=1, **options)
    with app.connection_for_read() as connection:
        first = connection.SimpleQueue("default").get(timeout=60)
        first.ack()
    late = later(countdown=3600, task_id=direct.id, **options)
    redis.client().zadd(redis.key("later"), {late.id: 0})
    delayed.release(app)
    with app.connection_for_read() as connection:
        second = connection.SimpleQueue("default").get(timeout=60)
        second.ack()
    assert second.payload == first.payload
    assert second.properties["priority"] == first.properties["priority"]
    for name in ("task", "id", "x", "argsrepr", "retries", "timelimit", "root_id"):
        assert second.headers[name] == first.headers[name]
    assert second.headers["eta"] > first.headers["eta"]


def test_who_dies_between_claim_and_sending_leaves_it_to_the_next(monkeypatch):
    job = later(countdown=3600)
    redis.client().zadd(redis.key("later"), {job.id: 0})
    with monkeypatch.context() as patch:
        patch.setattr(delayed, "_publish", lambda *_: (_ for _ in ()).throw(OSError("gone")))
        with pytest.raises(OSError, match="gone"):
            delayed.release(app)
    assert queued() == 0
    assert delayed.release(app) == 0  # claimed for a while
    redis.client().zadd(redis.key("later"), {job.id: 0})
    assert delayed.release(app) == 1
    assert queued() == 1


def test_a_cancelled_job_is_not_kept():
    job = later(countdown=3600)
    cancellation.request(job.id, "ada")
    assert kept() == {}


def test_a_redis_that_is_away_is_a_broker_that_is_away(monkeypatch):
    def away(*_, **__):
        raise redis.Error("away")

    monkeypatch.setattr(delayed, "is_late", lambda due: True)
    # For this module alone: others keep the scripts that they have asked for.
    monkeypatch.setattr(delayed, "redis", SimpleNamespace(**{**vars(redis), "script": lambda text: away}))
    with pytest.raises(OperationalError):
        later(countdown=3600)


# What is parked --------------------------------------------------------------------------------------------------------

HELD = "held"


def park(job: str, group: str) -> bool:
    """Put the message of a job aside as a worker does that has received it."""
    message = SimpleNamespace(
        body="[[], {}, {}]", content_type="application/json", content_encoding="utf-8", properties={},
        delivery_info={"exchange": "", "routing_key": "default"}, headers={"id": job, "task": "demo.echo"},
    )  # fmt: skip
    return delayed.park(message, group, redis.key(HELD))


def put(job: str, due: float) -> None:
    options = {"headers": {"id": job}, "routing_key": "default", "exchange": ""}
    assert delayed.keep(due, [[], {}, {}], options)


def index_of_what_is_parked() -> dict[str, set[str]]:
    client: Any = redis.client()
    groups = {group: client.smembers(redis.key("parked", group)) for group in ("a", "b")}
    return {group: jobs for group, jobs in groups.items() if jobs}


def check_accord() -> None:
    """Hold all that the store keeps of its jobs against each other."""
    client: Any = redis.client()
    scores = kept()
    assert set(client.hkeys(redis.key("later", "messages"))) == set(scores)
    index = index_of_what_is_parked()
    assert delayed.groups_parked() == set(index)
    of_group = {job: group for group, jobs in index.items() for job in jobs}
    assert client.hgetall(redis.key("later", "groups")) == of_group
    assert {job for job, score in scores.items() if score >= delayed.PARKED} == set(of_group)
    assert sum(map(delayed.parked, index)) == len(of_group)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_in_whatever_order_the_store_is_in_accord(seed, monkeypatch):
    """A model beside it knows where each job must be: nowhere, waiting for its time, or parked in a group."""
    sent: list[str] = []
    monkeypatch.setattr(delayed, "_publish", lambda app, producer, message: sent.append(message["headers"]["id"]))
    client, chance = redis.client(), random.Random(seed)
    client.hset(redis.key(HELD), mapping={"a": 1, "b": 1})
    jobs, where = [f"j{number}" for number in range(6)], dict[str, str]()
    for _ in range(120):
        job, group = chance.choice(jobs), chance.choice("ab")
        act = chance.choice(["put", "put soon", "park", "park", "unpark", "remove", "remove all", "release"])
        if act.startswith("put"):
            put(job, redis.now() + (1 if act == "put soon" else 3600))
            where[job] = "soon" if act == "put soon" else "later"
        elif act == "park":
            assert park(job, group)
            where[job] = group
        elif act == "unpark":
            assert delayed.unpark(group) == sum(place == group for place in where.values())
            where |= {job: "soon" for job, place in where.items() if place == group}
        elif act == "release":
            due = {job for job, place in where.items() if place == "soon"}
            del sent[:]
            assert delayed.release(app) == len(due)
            assert set(sent) == due
            where = {job: place for job, place in where.items() if job not in due}
        else:
            gone = [job] if act == "remove" else chance.sample(jobs, 3)
            delayed.remove(*gone)
            where = {job: place for job, place in where.items() if job not in gone}
        check_accord()
        assert set(kept()) == set(where)
        found = index_of_what_is_parked()
        assert found == {name: {j for j, place in where.items() if place == name} for name in found}
        assert set(found) == {place for place in where.values() if place in "ab"}


def test_a_message_that_comes_back_and_is_put_aside_before_its_sender_is_done_stays(monkeypatch):
    """The task is paused again while what was let go is being sent: a worker has it before the sender has forgotten it."""
    redis.client().hset(redis.key(HELD), "a", 1)
    park("j1", "a")
    delayed.unpark("a")
    monkeypatch.setattr(delayed, "_publish", lambda app, producer, message: park("j1", "a"))
    assert delayed.release(app) == 1
    check_accord()
    assert delayed.parked("a") == 1


def test_a_job_that_is_cancelled_is_not_counted_among_those_that_wait_for_a_paused_task():
    redis.client().hset(redis.key(HELD), "a", 1)
    park("j1", "a")
    park("j2", "a")
    cancellation.request("j1", "ada")
    assert delayed.parked("a") == 1
    check_accord()
    cancellation.request("j2", "ada")
    assert delayed.groups_parked() == set()


def test_what_was_put_aside_goes_on_at_once_and_in_its_order_after_a_clock_was_set_back(monkeypatch):
    sent: list[str] = []
    monkeypatch.setattr(delayed, "_publish", lambda app, producer, message: sent.append(message["headers"]["id"]))
    redis.client().hset(redis.key(HELD), "a", 1)
    now = time.time()
    jobs = [f"j{number}" for number in range(250, 0, -1)]
    for number, job in enumerate(jobs):
        ahead = 3600 if number < 3 else 0  # the clock of the first worker
        monkeypatch.setattr(delayed, "time", SimpleNamespace(time=lambda ahead=ahead: now + ahead))
        assert park(job, "a")
    check_accord()
    assert delayed.unpark("a") == 250
    assert [delayed.release(app) for _ in range(4)] == [100, 100, 50, 0]
    assert sent == jobs
    check_accord()


def test_a_job_is_put_aside_only_while_its_group_is_held():
    assert not park("j1", "a")
    assert kept() == {}
    check_accord()


def test_what_was_parked_by_an_earlier_version_goes_on_too():
    redis.client().hset(redis.key(HELD), "a", 1)
    park("j1", "a")
    redis.client().delete(redis.key("later", "groups"))
    assert delayed.unpark("a") == 1
    check_accord()
