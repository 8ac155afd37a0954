"""Tasks that keep their answers, for the workers of `test_answers`; `celery -A tests.acceptance.answer_tasks`."""

import os
import time
from pathlib import Path
from typing import Any

from image.celery import app
from jobroom.tasks import JobFailed

__all__ = ["app"]


@app.task(bind=True, name="answers.slow", cache_for=600)
def slow(self: Any, gate: str) -> str:
    """Answer once the file `gate` is there; it may not run twice, so its job is lost with its worker."""
    with Path(f"{gate}.runs").open("a") as runs:
        runs.write(f"{self.request.id}\n")
    while not Path(gate).exists():
        self.progress(0, 1)
        time.sleep(0.05)
    text = Path(gate).read_text()
    if text == "fail":
        raise ValueError("no answer")
    if text == "die":
        os.kill(os.getpid(), 9)
    if text == "refuse":
        raise JobFailed("not today")
    if text == "attach":
        self.attach(gate, "answer.txt")
    return text


@app.task(name="answers.twice", cache_for=600, acks_late=True)
def twice(gate: str) -> str:
    """Answer once the file `gate` is there; it may run twice."""
    while not Path(gate).exists():
        time.sleep(0.05)
    return Path(gate).read_text()


@app.task(bind=True, name="answers.recalculated", cache_for=600)
def recalculated(self: Any, number: int) -> list[Any]:
    """Answer with what the earlier answer was."""
    earlier = self.earlier_answer()
    return [number, earlier.result if earlier else None]


@app.task(name="answers.add", acks_late=True)
def add(values: Any, more: int = 0) -> Any:
    """Show what came out of the jobs before it."""
    return [values, more]
