"""Shared resources: is the first job of a fresh worker as fast as the tenth, and does sharing share?

    python3 bench/resources.py [--rounds 7] [--megabytes 500]

Each round starts a fresh worker (prefork, four children) on a resource of that size that was loaded before the fork,
and times its first and its tenth job, as the sender sees it. Then all children read all of it, and the memory of the
worker's process and its children is added up from `/proc/*/smaps_rollup` (proportional set size: a page that five
processes share counts a fifth in each). What it is compared with is one process: a worker with the pool `solo`.
"""

import argparse
import statistics
import time
from pathlib import Path

import surroundings
from surroundings import FOLDER, Child, setup, table

setup()

import sys  # noqa: E402

import resource_tasks as tasks  # noqa: E402
from celery import group  # noqa: E402

from jobroom.events import heartbeat  # noqa: E402

CHILDREN = 4


def worker(megabytes: int, *pool: str) -> Child:
    """Return a fresh worker process that holds the resource."""
    argv = [sys.executable, "-m", "celery", "-A", "resource_tasks", "worker", "-Q", "bench", "-n", "bench@here", *pool]
    env = {"PYTHONPATH": f"{surroundings.ROOT}:{surroundings.ROOT / 'bench'}", "BENCH_MEGABYTES": str(megabytes)}
    return Child("worker", [*argv, "--without-gossip", "--without-mingle", "-l", "INFO"], env)


def wait_until_ready(child: Child, seconds: float = 120.0) -> None:
    """Wait until that worker says that it has the resource and consumes its queue."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for found in heartbeat.workers():
            if found.pid == child.popen.pid and not found.starting and not found.waiting and found.resources:
                return
        time.sleep(0.05)
    raise SystemExit(f"The worker did not load its resource:\n{(FOLDER / 'worker.log').read_text()[-2000:]}")


def seconds_of(task) -> float:
    """Return the seconds from sending a job to having its result."""
    began = time.perf_counter()
    task.apply_async(queue="bench").get(timeout=60, interval=0.001)
    return time.perf_counter() - began


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def proportional(pid: int) -> int:
    """Return the proportional set size of a process in bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("This machine does not report the proportional set size of a process.")


def one_round(megabytes: int) -> tuple[float, float, float]:
    """Return the seconds of the first and the tenth job, and the bytes of a worker and its four children."""
    with worker(megabytes, "-P", "prefork", "-c", str(CHILDREN)) as child:
        wait_until_ready(child)
        times = [seconds_of(tasks.peek) for _ in range(10)]
        # As many at once as there are children, several times over: every child reads every page.
        for _ in range(4):
            group(tasks.look.si(start) for start in range(CHILDREN)).apply_async(queue="bench").get(timeout=120)
        return times[0], times[9], sum(map(proportional, family(child.popen.pid)))


def alone(megabytes: int) -> float:
    """Return the bytes of one process that holds the resource and has read all of it."""
    with worker(megabytes, "-P", "solo") as child:
        wait_until_ready(child)
        tasks.look.apply_async([0], queue="bench").get(timeout=120)
        return proportional(child.popen.pid)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--megabytes", type=int, default=500)
    options = parser.parse_args()
    one_round(1)  # the sender's own first job is not what is measured
    rounds = [one_round(options.megabytes) for _ in range(options.rounds)]
    single = alone(options.megabytes)
    ratios = sorted(first / tenth for first, tenth, _ in rounds)
    memory = statistics.median(total for _, _, total in rounds)
    table(
        "Shared resources",
        [
            ["what", "budget", "measured"],
            [
                "first job of a fresh worker, beside its tenth",
                "1.5 x",
                f"{statistics.median(ratios):.2f} x [{ratios[0]:.2f} - {ratios[-1]:.2f}] "
                f"({1000 * statistics.median(first for first, _, _ in rounds):.1f} ms beside "
                f"{1000 * statistics.median(tenth for _, tenth, _ in rounds):.1f} ms)",
            ],
            [
                f"memory of a worker with {CHILDREN} children that share {options.megabytes} MB, beside one process",
                "1.3 x",
                f"{memory / single:.2f} x ({memory / 1e6:.0f} MB beside {single / 1e6:.0f} MB)",
            ],
        ],
    )


if __name__ == "__main__":
    main()
