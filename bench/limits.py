"""Draining a queue: plain, with a limit that is as high as the processes, and as a fair queue of two people.

    python3 bench/limits.py [jobs]

Real workers with four processes; the three kinds take turns in one run. Prints seconds from the first start to the last end, and ratios.
"""

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["IMAGE_FAIR_QUEUES"] = "ml"

from bench import surroundings

surroundings.setup()

from celery import current_app  # noqa: E402

from jobroom import redis  # noqa: E402
from jobroom.celery import task_limits  # noqa: E402
from jobroom.testing import wait_until  # noqa: E402
from jobroom.testing.processes import Worker, running  # noqa: E402

ROUNDS = 3
KINDS = {"plain": ("limits: plain", "default"), "limit": ("limits: four", "default"), "fair": ("limits: plain", "ml")}


def drain(task: str, queue: str, jobs: int) -> float:
    """Send the jobs while no one takes them, start nothing new, and return the seconds until all have run."""
    client = redis.client()
    client.delete("drained")
    current_app.control.cancel_consumer(queue)
    time.sleep(2)
    for number in range(jobs):
        current_app.send_task(task, queue=queue, headers={task_limits.PERSON: str(number % 2)}, ignore_result=True)
    current_app.control.add_consumer(queue)
    wait_until(lambda: int(client.llen("drained")) == jobs, 300, "all have run")
    moments_read: Any = client.lrange("drained", 0, -1)
    moments = sorted(map(float, moments_read))
    return moments[-1] - moments[0]


def main() -> None:
    """Run all kinds in turn and print the medians."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with running(Worker(app="tests.acceptance.limit_app", queues="default,ml", concurrency=4)):
        rounds = [{kind: drain(*what, jobs) for kind, what in KINDS.items()} for _ in range(ROUNDS)]
    for kind in KINDS:
        seconds = statistics.median(found[kind] for found in rounds)
        ratio = statistics.median(found[kind] / found["plain"] for found in rounds)
        print(f"{kind:<6} {seconds:.2f} s for {jobs} jobs, {ratio:.2f} times plain")


if __name__ == "__main__":
    main()
