"""Checkpoints of a job: a step that was done is not done again when the job is run again.

`steps:<job>` is a hash: `["name","key"]` → what the step has kept, as JSON. A job that is retried, rescued or resumed has the
same id and finds them; a new job of the same task has its own.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.utils.json import dumps, loads

from jobroom import redis
from jobroom.conf import settings

logger = logging.getLogger(__name__)


class Step:
    """One step of a job. `done`: whether an earlier run of the job has kept it; `value`: what it has kept."""

    def __init__(self, value: str | None) -> None:
        self.done = value is not None
        self.kept = False
        self.value: Any = loads(value) if value is not None else None

    def keep(self, value: Any = None) -> Any:
        """Keep the step with a value that can be written as JSON, when its block ends without an error; return the value."""
        self.value, self.kept = value, True
        return value


class StepsMixin:
    """Part of BaseTask."""

    @contextmanager
    def step(self, name: str, *, key: Any = "") -> Iterator[Step]:
        """Enter a step of the job; do its work unless it is `done`.

            with self.step("upload", key=asset.sha256) as saved:
                if not saved.done:
                    saved.keep(upload(asset))
            address = saved.value

        `key`: on what the work depends, JSON; with another key it is another step. Outside a job nothing is kept. Raises
        redis errors where no one can tell whether the step was done.
        """
        job = self.request.id  # type: ignore[attr-defined]
        field = json.dumps([name, key], sort_keys=True, default=str)
        found: Any = redis.client().hget(_key(job), field) if job else None
        step = Step(found)
        yield step
        if step.kept and job:
            _write(job, field, dumps(step.value))


def _key(job: str) -> str:
    return redis.key("steps", job)


def _write(job: str, field: str, text: str) -> None:
    """Keep a step; when Redis is away the job goes on, and does the step again if it is run again."""
    try:
        with redis.client().pipeline() as pipe:
            pipe.hset(_key(job), field, text)
            pipe.expire(_key(job), settings.STEPS_KEPT)
            pipe.execute()
    except (redis.Error, OSError) as error:
        logger.warning("Step %s of job %s could not be kept: %s", field, job, error)
