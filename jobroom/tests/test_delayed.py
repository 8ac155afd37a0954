"""What is due later is kept by nobody but Redis, and is sent once, shortly before its time."""

from datetime import UTC, datetime, timedelta
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
        first = connection.SimpleQueue("default").get(timeout=5)
        first.ack()
    late = later(countdown=3600, task_id=direct.id, **options)
    redis.client().zadd(redis.key("later"), {late.id: 0})
    delayed.release(app)
    with app.connection_for_read() as connection:
        second = connection.SimpleQueue("default").get(timeout=5)
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
    monkeypatch.setattr(delayed.redis, "script", lambda text: away)
    with pytest.raises(OperationalError):
        later(countdown=3600)
