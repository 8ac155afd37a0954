"""What compressing pages costs the processor, and what it saves, on lists as long as they get.

    python3 bench/compression.py [--tasks 200] [--jobs 10000] [--rounds 15]

A page is one request of Django's test client in this process, with and without `Accept-Encoding: gzip`, in turns.
"""

import argparse
import gc
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings
from bench.job_lists import fill
from bench.surroundings import middle, spread, table

PAGES = ("/tasks/", "/jobs/", "/api/jobs/", "/api/tasks/")


def main() -> None:
    """Make tasks and jobs, and ask for the pages in turns."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tasks", type=int, default=200)
    options.add_argument("--jobs", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=15)
    wanted = options.parse_args()
    surroundings.setup(DEBUG=False, ALLOWED_HOSTS=["*"])
    from celery import current_app
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client

    call_command("migrate", verbosity=0)
    staff = User.objects.create_superuser("bench-staff")
    fill(connection, wanted.jobs, staff.pk)
    for number in range(wanted.tasks):
        current_app.task(work, name=f"bench.group_{number % 12}.task_{number}")
    client = Client()
    client.force_login(staff)
    gc.collect()
    gc.freeze()
    rows: list[tuple[object, ...]] = [("page", "bytes", "compressed", "", "ms", "ms compressed", "more, ms")]
    for page in PAGES:
        plain, packed, sizes = [], [], (0, 0)
        for turn in range(wanted.rounds + 1):
            taken, sizes = zip(*(ask(client, page, how) for how in ("identity", "gzip")), strict=True)
            if turn:
                plain.append(taken[0])
                packed.append(taken[1])
        more = middle([second - first for first, second in zip(plain, packed, strict=True)])
        share = f"{sizes[1] / sizes[0]:.0%}"
        rows.append((page, f"{sizes[0]:,}", f"{sizes[1]:,}", share, spread(plain, 0), spread(packed, 0), f"{more:.1f}"))
    table(f"Compressed pages, {wanted.tasks} more tasks, {wanted.jobs:,} jobs, processor time", rows)


def work(mesh: str, quality: int = 3, *, smooth: bool = False) -> str:
    """Work on a mesh, as one of many tasks of a project does.

    The words of a task's docstring are part of the page.
    """
    return f"{mesh} {quality} {smooth}"


def ask(client, page: str, encoding: str) -> tuple[float, int]:
    """Return the milliseconds of the processor, and the bytes of the answer."""
    began = time.process_time()
    answer = client.get(page, headers={"accept-encoding": encoding})
    taken = (time.process_time() - began) * 1000
    if answer.status_code != 200:
        raise SystemExit(f"{page} answered {answer.status_code}")
    return taken, len(answer.content)


if __name__ == "__main__":
    main()
