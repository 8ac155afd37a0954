"""Cancel of a fan-out whose jobs wait in the queue: ours, and Celery's revoke of a group of as many.

    python3 bench/cancel.py [jobs] [rounds]

One real worker with two processes works on both in turns, a recorder keeps the database. Each job takes a fiftieth of a second. Prints
the seconds until the answer, and how many jobs started after it; the first round of the process, where everything is done for the
first time, is printed by itself.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

os.environ["CHAOS_NODE_SECONDS"] = "0.02"

from bench import surroundings

surroundings.setup()

from celery import current_app, group  # noqa: E402
from django.core.management import call_command  # noqa: E402

from jobroom import redis  # noqa: E402
from jobroom.queues.broker import depths  # noqa: E402
from jobroom.testing import wait_until  # noqa: E402
from jobroom.testing.processes import Recorder, Worker, running  # noqa: E402
from jobroom.workflows import services  # noqa: E402
from jobroom.workflows.models import FINISHED, StoredWorkflow  # noqa: E402
from jobroom.workflows.workflows import Workflow  # noqa: E402
from tests.acceptance import workflow_tasks as tasks  # noqa: E402

RAN = "flow:ran"
# Jobs that run before the cancel: it comes in the middle.
BEFORE = 20


def _ran() -> int:
    return int(redis.client().hlen(RAN))


def _middle(jobs: int) -> None:
    """Wait until some have run and most wait. Celery publishes a group one by one, so fewer of it are left."""
    wait_until(lambda: _ran() >= BEFORE, 60, "some have run")
    wait_until(lambda: depths(["default"])["default"] > jobs / 3, 60, "the others wait in the queue")


def ours(jobs: int) -> tuple[float, int]:
    """Cancel a workflow; return the seconds, and how many jobs started after the answer."""
    workflow = Workflow(name="cancelled")
    numbers = workflow.add_signature(tasks.numbers.si(jobs), key="numbers")
    workflow.add_fan_out(tasks.count.s(), numbers, key="items")
    workflow.apply_async()
    _middle(jobs)
    stored = StoredWorkflow.objects.get(pk=workflow.id)
    began = time.perf_counter()
    services.cancel(stored, by=None, name="bench")
    seconds = time.perf_counter() - began
    return seconds, _after(lambda: StoredWorkflow.objects.filter(pk=workflow.id, state__in=FINISHED).exists())


def theirs(jobs: int) -> tuple[float, int]:
    """Revoke a group; return the same."""
    result = group(tasks.count.s(str(number)) for number in range(jobs)).apply_async()
    _middle(jobs)
    began = time.perf_counter()
    result.revoke()
    seconds = time.perf_counter() - began
    result.forget()
    return seconds, _after(lambda: not depths(["default"])["default"])


def _after(is_over: Callable[[], bool]) -> int:
    """Return how many start from now on, besides those that run in the two processes."""
    before = _ran()
    wait_until(is_over, 300, "it is over")
    time.sleep(1)
    return max(0, _ran() - before - 2)


def main() -> None:
    """Run both in turns and print what was found."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    call_command("migrate", verbosity=0)
    found: dict[str, list[tuple[float, int]]] = {"ours": [], "Celery": []}
    with running(Worker(app="tests.acceptance.workflow_tasks", concurrency=2), Recorder()):
        for _ in range(rounds + 1):
            for name, cancel in (("ours", ours), ("Celery", theirs)):
                redis.client().delete(RAN)
                found[name].append(cancel(jobs))
                current_app.control.purge()
                wait_until(lambda: not redis.client().xlen(redis.key("events")), 300, "all is recorded")
    for name, (first, *others) in found.items():
        seconds = [second for second, _ in others]
        print(
            f"{name:<6} first {first[0]:.2f} s; then median {statistics.median(seconds):.2f} s [{min(seconds):.2f} to {max(seconds):.2f}]; "
            f"started after the answer: {[late for _, late in (first, *others)]}"
        )


if __name__ == "__main__":
    main()
