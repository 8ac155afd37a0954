"""Exclusive tasks for the tests of the locks: `celery -A tests.acceptance.lock_app worker`."""

import os
import time
from pathlib import Path
from typing import Any

import django

django.setup()

from image.celery import app  # noqa: E402
from jobroom.locks import holder  # noqa: E402 — needs the apps
from jobroom.tasks import BaseTask, exclusive_task  # noqa: E402
from jobroom.testing import write_whole  # noqa: E402

__all__ = ["app"]


def wait_for(path: str, seconds: float = 600) -> None:
    """Return when the file exists, or fail when the test must be over."""
    end = time.monotonic() + seconds
    while not Path(path).exists():
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.01)


class Hold(BaseTask):
    """Runs until a file exists."""

    name = "locks: hold"

    @exclusive_task(task_name="Hold", lock_id="hold")
    def run(self, path: str) -> str:
        wait_for(path)
        return "held"


app.tasks.register(Hold)  # type: ignore[arg-type]  # Celery makes the object itself


@app.task(name="locks: pid", bind=True, acks_late=True)
@exclusive_task("Pid", "pid {path}", ttl=20)
def pid(self: Any, path: str) -> int:
    """Write down who runs, then run until someone makes the file."""
    write_whole(Path(path + ".pid"), str(os.getpid()))
    wait_for(path)
    return os.getpid()


@app.task(name="locks: turn", bind=True)
@exclusive_task("Turn", "turn", blocking=True)
def turn(self: Any, folder: str, number: int) -> dict[str, Any]:
    """Be alone, as a file shows that can be made only once; report what the job knows of itself."""
    alone = Path(folder) / "alone"
    alone.touch(exist_ok=False)
    time.sleep(0.02)
    alone.unlink()
    request = self.request
    return {"number": number, "retries": request.retries, "parent": request.parent_id, "root": request.root_id}


@app.task(name="locks: same", bind=True, autoretry_for=(KeyError,))
@exclusive_task("Same", "turn", blocking=True)
def same(self: Any, value: Any) -> Any:
    """Return the value."""
    return value


@app.task(name="locks: impatient")
@exclusive_task("Impatient", "turn", blocking=True, wait=1)
def impatient() -> str:
    """Wait for a second only."""
    return "done"


@app.task(name="locks: quick")
def quick(value: int) -> int:
    """Need no lock."""
    return value


@app.task(name="locks: total")
def total(values: list[int]) -> int:
    """Be the body of a chord."""
    return sum(values)


@app.task(name="locks: again", bind=True, max_retries=2)
@exclusive_task("Again", "again {key}", blocking=True)
def again(self: Any, key: str) -> list[Any]:
    """Ask for a second attempt under the lock, and expect the lock in it."""
    found = holder(f"again {key}")
    assert found is not None
    assert found.job == self.request.id
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    return [self.request.retries, found.task]


@app.task(name="locks: limited", soft_time_limit=1)
@exclusive_task("Limited", "limited")
def limited() -> None:
    """Run into the soft time limit."""
    time.sleep(30)


@app.task(name="locks: killed", time_limit=1)
@exclusive_task("Killed", "killed by its limit")
def killed() -> None:
    """Run into the hard time limit, for which Celery kills the process."""
    time.sleep(30)


@app.task(name="locks: nested", bind=True)
@exclusive_task("Nested", "nested")
def nested(self: Any) -> list[str]:
    """Call itself, and another task directly, under the lock."""
    return [nested.run(), Hold().run("/")]
