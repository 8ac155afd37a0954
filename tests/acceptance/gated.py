"""A task that works until a test asks it to end, and not for a length of time: `celery -A tests.acceptance.gated worker`.

What must be done while a job runs, such as killing its worker, takes as long as the machine lets it take.
"""

import time
from pathlib import Path

import django

django.setup()

from image.celery import app  # noqa: E402 — needs the apps

__all__ = ["app"]

APP = "tests.acceptance.gated"
NAME = "gated: work"


@app.task(name=NAME, acks_late=True)
def work(path: str) -> str:
    """Work until the file exists."""
    while not Path(path).exists():
        time.sleep(0.02)
    return "gated"
