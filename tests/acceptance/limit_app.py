"""Limited tasks for the tests of limits: `celery -A tests.acceptance.limit_app worker`."""

import time

import django

django.setup()

from image.celery import app  # noqa: E402
from jobroom import redis  # noqa: E402 — needs the apps
from jobroom.tasks import Batch, Debounce, Limit  # noqa: E402
from tests.acceptance.lock_app import wait_for  # noqa: E402

__all__ = ["app"]


@app.task(name="limits: hold", limit=Limit(2, key="{key}"), acks_late=True)
def hold(key: str, path: str) -> None:
    """Say that it runs, until a file exists."""
    redis.client().rpush("ran", f"{key} {path}")
    wait_for(path)


@app.task(name="limits: count", limit=3)
def count(path: str) -> int:
    """Note how many run at the same time, once a file exists."""
    client = redis.client()
    together = int(client.incr("together"))
    client.rpush("counted", together)
    wait_for(path)
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


@app.task(name="limits: say late", acks_late=True)
def say_late(word: str, path: str) -> None:
    """Note in which order jobs run, and go on until a file exists."""
    redis.client().rpush("said", word)
    wait_for(path)


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


@app.task(name="limits: save", debounce=Debounce(20, at_most=120, key="{document}"), acks_late=True)
def save(document: str) -> str:
    """Note which call has run."""
    redis.client().rpush("saved", document)
    return document


@app.task(name="limits: index", batch=Batch(5, seconds=20), acks_late=True)
def index(numbers: list[int], paths: list[str] = [""]) -> list[int]:  # noqa: B006 — the default of one call
    """Note how many calls have run together, once a file exists; a number below zero fails."""
    redis.client().rpush("indexed", len(numbers))
    if paths[0]:
        wait_for(paths[0])
    if min(numbers) < 0:
        raise ValueError("There is no document below zero.")
    return [10 * number for number in numbers]


@app.task(name="limits: total", batch=Batch(3, seconds=60))
def total(numbers: list[int]) -> str:
    """Answer once for all."""
    return f"{sum(numbers)} in all"
