"""How far the expected end of real jobs is off at half time: workers run them, the recorder writes, a page's estimate is asked.

    python3 bench/estimates.py [--jobs 240]

Of four jobs two wait in uneven steps, for lengths that vary as those of most tasks do, one draws pictures of a mesh of
5,000 to 40,000 triangles, and one simplifies a mesh of 2,000 to 300,000, small ones as often as large ones. While they run, the estimate that the page of the job shows is asked for five times a second. Of each
job the answer nearest to half of the time that it took in the end counts: the middle of the range, beside what really was left.
The first ten of each task only make the history. Beside it stands what would be said if no one knew how large the inputs are.
"""

import argparse
import math
import random
import statistics
import sys
import time
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings

surroundings.setup()

import trimesh  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: E402
from django.core.management import call_command  # noqa: E402

from assets import services  # noqa: E402
from jobroom.jobs import estimates, input_sizes, launches  # noqa: E402
from jobroom.jobs.models import FINISHED, Job, State  # noqa: E402
from jobroom.testing.processes import Recorder, Worker, running  # noqa: E402

HISTORY = 10
BUDGET = 0.20
# Jobs that are sent and have not ended: what waits in the queue is not measured.
AT_ONCE = 6

# Seconds since the start, seconds that were said to be left, and those that would be without the sizes of inputs.
Asked = list[tuple[float, float, float]]


def send(number: int, rng: random.Random, owner: User) -> str:
    """Launch one job; return its id."""
    if number % 2:
        arguments = {"secs": rng.lognormvariate(1.2, 0.35), "steps": rng.randint(8, 60)}
        return str(launches.launch(task="demo.progress", arguments=arguments, by=owner, source="code").pk)
    if number % 4:
        task, triangles = "assets.simplify", math.exp(rng.uniform(math.log(2_000), math.log(300_000)))
    else:
        task, triangles = "assets.pictures", rng.randint(5_000, 40_000)
    around = int((triangles / 2) ** 0.5)
    mesh = trimesh.creation.torus(3, 1, major_sections=around, minor_sections=around).export(file_type="ply")
    asset = services.add(upload=SimpleUploadedFile(f"{number}.ply", mesh), owner=owner)
    return str(launches.launch(task=task, arguments={"asset": asset.pk}, by=owner, source="code").pk)


def ask(job: Job) -> tuple[float, float, float] | None:
    """Return what is said of a running job now; None where nothing is."""
    left = estimates.remaining(job)
    with mock.patch.object(input_sizes, "counted", return_value=[]):
        blind = estimates.remaining(job)
    if left is None or blind is None or job.runtime is None:
        return None
    return job.runtime.total_seconds(), sum(left) / 2, sum(blind) / 2


def watch(jobs: int, rng: random.Random, owner: User) -> dict[str, Asked]:
    """Send all jobs, a few at a time, and return what was said of each while it ran."""
    said: dict[str, Asked] = {}
    at_work: set[str] = set()
    sent = 0
    while sent < jobs or at_work:
        while sent < jobs and len(at_work) < AT_ONCE:
            job_id = send(sent, rng, owner)
            said[job_id] = []
            at_work.add(job_id)
            sent += 1
        for job in Job.objects.filter(pk__in=at_work):
            if job.state in FINISHED:
                at_work.discard(job.pk)
            elif job.state == State.RUNNING and (answer := ask(job)):
                said[job.pk].append(answer)
        time.sleep(0.2)
    return said


def errors(said: dict[str, Asked]) -> tuple[dict[str, list[tuple[float, float]]], int]:
    """Return for each task the shares of the whole by which estimates were off at half time, with sizes and without.

    And how many jobs had none.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    seen: dict[str, int] = {}
    none = 0
    for job in Job.objects.filter(pk__in=said, state=State.SUCCEEDED).order_by("created_at"):
        seen[job.task] = seen.get(job.task, 0) + 1
        if seen[job.task] <= HISTORY or job.runtime is None:
            continue
        whole = job.runtime.total_seconds()
        near = [one for one in said[job.pk] if abs(one[0] - whole / 2) < whole / 4]
        if not near:
            none += 1
            continue
        spent, *left = min(near, key=lambda one: abs(one[0] - whole / 2))
        with_sizes, without = (abs(seconds - (whole - spent)) / whole for seconds in left)
        found.setdefault(job.task, []).append((with_sizes, without))
    return found, none


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=240)
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    owner = User.objects.create_superuser("bench")
    with running(Worker(queues="default,heavy,ml", concurrency=4), Recorder()):
        said = watch(options.jobs, random.Random(7), owner)
    found, none = errors(said)
    rows = [["task", "jobs", "median error at half time", "a quarter is off by more than", "median without sizes"]]
    every = [one for errors_of in found.values() for one in errors_of]
    for task, off in [*found.items(), ("all", every)]:
        known, blind = zip(*off, strict=True)
        quarter = statistics.quantiles(known, n=4)[2]
        rows.append([
            task, str(len(off)), f"{statistics.median(known):.1%}", f"{quarter:.1%}", f"{statistics.median(blind):.1%}",
        ])  # fmt: skip
    surroundings.table("Expected end", rows)
    within = all(statistics.median(known for known, _ in off) < BUDGET for off in found.values())
    print(f"Without an estimate around half time: {none}. Budget {BUDGET:.0%} for each task: {within}.")


if __name__ == "__main__":
    main()
