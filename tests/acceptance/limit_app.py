"""Limited tasks for the tests of limits: `celery -A tests.acceptance.limit_app worker`."""

import time

import django

django.setup()

from image.celery import app  # noqa: E402
from jobroom import redis  # noqa: E402 — needs the apps
from jobroom.tasks import Limit  # noqa: E402
from tests.acceptance.lock_app import wait_for  # noqa: E402

__all__ = ["app"]


@app.task(name="limits: hold", limit=Limit(2, key="{key}"), acks_late=True)
def hold(key: str, path: str) -> None:
    """Say that it runs, until a file exists."""
    redis.client().rpush("ran", f"{key} {path}")
    wait_for(path, 60)


@app.task(name="limits: count", limit=3)
def count(seconds: float) -> int:
    """Note how many run at the same time."""
    client = redis.client()
    together = int(client.incr("together"))
    client.rpush("counted", together)
    time.sleep(seconds)
    client.decr("together")
    return together


@app.task(name="limits: rated", limit=Limit(rate="2/s"))
def rated() -> None:
    """Note when it started."""
    redis.client().rpush("started", time.time())


@app.task(name="limits: say")
def say(word: str) -> None:
    """Note in which order jobs run."""
    redis.client().rpush("said", word)


@app.task(name="limits: plain")
def plain() -> None:
    """Work for a moment, and note when."""
    time.sleep(0.01)
    redis.line().rpush("drained", time.time())


@app.task(name="limits: four", limit=4)
def four() -> None:
    """Do the same under a limit."""
    time.sleep(0.01)
    redis.line().rpush("drained", time.time())
