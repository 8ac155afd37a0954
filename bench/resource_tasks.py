"""The worker's side of `bench/resources.py`: a large array, loaded before the fork or, for comparison, by each process."""

import os

import numpy as np

from image.celery import app
from jobroom.resources import resource

MEGABYTES = int(os.environ.get("BENCH_MEGABYTES", "500"))


@resource("large_array", queues=["bench"], share=True, sizeof=lambda array: array.nbytes)
def large_array() -> np.ndarray:
    """Half a gigabyte that no one writes to."""
    return np.random.default_rng(1).random(MEGABYTES * 1_000_000 // 8)


@app.task(bind=True, name="bench.look", resources=("large_array",))
def look(self, start: int) -> float:
    """Read all of it."""
    return float(self.large_array[start:].sum())


@app.task(bind=True, name="bench.peek", resources=("large_array",))
def peek(self) -> float:
    """Read a little of it: the time of a job, not of its sum."""
    return float(self.large_array[:1000].sum())
