"""Tasks of which others wait: `celery -A tests.browser.waiting_app worker`."""

import time
from typing import Any

import django

django.setup()

from image.celery import app  # noqa: E402
from jobroom import redis  # noqa: E402 — needs the apps
from jobroom.tasks import exclusive_task  # noqa: E402

__all__ = ["app"]


def _work(task: Any, word: str) -> str:
    """Work until someone says that it is enough, or cancels."""
    while not redis.client().sismember("enough", word):
        task.progress(1, 2, f"Works on {word}")
        time.sleep(0.1)
    return word


@app.task(name="waits: work", bind=True, base=app.Task, acks_late=True)
def work(self: Any, word: str) -> str:
    """Work."""
    return _work(self, word)


@app.task(name="waits: alone", bind=True, base=app.Task, acks_late=True)
@exclusive_task("Alone", "press-{word}", blocking=True)
def alone(self: Any, word: str, number: int) -> int:
    """Work alone on something."""
    if number == 1:
        _work(self, word)
    return number


@app.task(name="waits: few", bind=True, base=app.Task, acks_late=True, limit=1)
def few(self: Any, word: str) -> str:
    """Work, one at a time."""
    return _work(self, word)
