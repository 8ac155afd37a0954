"""A scheduler over many schedules, beside django-celery-beat's own in the same run.

    python3 bench/beat.py [--rows 50000] [--only sqlite|postgresql] [--rounds 3] [--seconds 70]

Four fifths of the rows are hourly crontabs, spread over the minutes of the hour, the others intervals of an hour. Both schedulers run in
this process and send the same messages to the same Redis. The part "in time" lets rows become due evenly, as many a second as an
hour of all rows has, and compares the time of each message with the time at which it was due; what was not sent by the
end counts as late as it was then.
"""

import argparse
import contextlib
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings
from bench.surroundings import middle, percentile, spread, table, verdict

TASK = "common.tasks.clearsessions"
TICKS, SENDS, LONGEST = 25, 500, 20.0
DATABASES = ("sqlite", "postgresql")


def parse() -> argparse.Namespace:
    """Return the options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=50_000)
    options.add_argument("--only", choices=DATABASES)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=70.0, help="how long the part in time takes, for each side")
    options.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return options.parse_args()


def main() -> None:
    """Measure on each database in a process of its own."""
    options = parse()
    if options.inside:
        measure(options)
        return
    argv = [sys.executable, __file__, "--inside", *sys.argv[1:]]
    if options.only != "postgresql":
        subprocess.run(argv, check=True)
    if options.only != "sqlite":
        with surroundings.postgresql() as url:
            if url:
                subprocess.run(argv, check=True, env={**os.environ, "TEST_DATABASE_URL": url})


def measure(options: argparse.Namespace) -> None:
    """Make the rows, let both sides take turns, and print what they took."""
    surroundings.setup(CELERY_BEAT_SCHEDULE={})
    from celery import current_app
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    current_app.loader.import_default_modules()
    current_app.conf.beat_schedule = {}
    fill(options.rows)
    found: dict[str, dict[str, list[float]]] = {"ours": {}, "theirs": {}}
    for number in range(options.rounds):
        sides = {"ours": ours, "theirs": theirs}
        for name, make in sides.items() if number % 2 == 0 else reversed(sides.items()):
            for what, value in one_side(make, options.rows, options.seconds if number == 0 else 0.0).items():
                found[name].setdefault(what, []).append(value)
    show(connection.vendor, options.rows, found)


def fill(number: int) -> None:
    """Write the rows."""
    from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

    crontabs = [CrontabSchedule.objects.create(minute=str(minute), hour="*") for minute in range(60)]
    hourly = IntervalSchedule.objects.create(every=1, period="hours")
    rows = []
    for count in range(number):
        timed = {"interval": hourly} if count % 5 == 0 else {"crontab": crontabs[count % 60]}
        rows.append(PeriodicTask(name=f"Row {count}", task=TASK, **timed))
    PeriodicTask.objects.bulk_create(rows, batch_size=1000)


def ran(ago: timedelta, number: int = 0, *, apart: float = 0.0, wait: float = 0.0) -> float:
    """Let all rows have run last so long ago, but for `number` intervals: they are due `apart` seconds from one another.

    Return when the first of them is due but for one distance, `wait` seconds from now.
    """
    from django.utils import timezone
    from django_celery_beat.models import PeriodicTask, PeriodicTasks

    now = timezone.now()
    PeriodicTask.objects.update(last_run_at=now - ago, date_changed=now)
    if number:
        rows = list(PeriodicTask.objects.filter(interval__isnull=False).order_by("pk")[:number])
        for place, row in enumerate(rows):
            row.last_run_at = now - timedelta(hours=1) + timedelta(seconds=wait + apart * (place + 1))
        PeriodicTask.objects.bulk_update(rows, ["last_run_at"], batch_size=500)
    PeriodicTasks.update_changed()
    return now.timestamp() + wait


def ours() -> Any:
    """Return our scheduler."""
    from celery import current_app

    from jobroom.schedules.scheduler import Scheduler

    return Scheduler(current_app._get_current_object())


def theirs() -> Any:
    """Return django-celery-beat's scheduler."""
    from celery import current_app
    from django_celery_beat.schedulers import DatabaseScheduler

    return DatabaseScheduler(current_app._get_current_object())


def look(scheduler: Any) -> float:
    """Let the scheduler tick, our one with the look for changes that it takes every half second, until it has read all it wants to."""
    scheduler._checked_at = float("-inf")
    sleep = float(scheduler.tick())
    while hasattr(scheduler, "_agenda") and scheduler._agenda.is_reading:
        sleep = float(scheduler.tick())
    return sleep


def until_sent(scheduler: Any) -> float:
    """Return the seconds from the change of one row, which is due by it, to its message, with the sleep that beat takes between."""
    from django.utils import timezone
    from django_celery_beat.models import PeriodicTask

    row = PeriodicTask.objects.filter(interval__isnull=False).order_by("pk")[3]
    with sends() as sent:
        sleep = float(scheduler.tick())
        PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=timezone.now() - timedelta(hours=2))
        row.refresh_from_db()
        row.description = f"due {time.time()}"
        row.save()
        began = time.perf_counter()
        while row.name not in dict(sent) and time.perf_counter() - began < 300:
            time.sleep(max(0.0, min(sleep, 5.0)))
            sleep = float(scheduler.tick())
        return time.perf_counter() - began


def one_side(make: Callable[[], Any], rows: int, seconds: float) -> dict[str, float]:
    """Return what one scheduler takes for each part, in seconds or sends a second."""
    from django_celery_beat.models import PeriodicTask

    from jobroom import redis

    found = {}
    ran(timedelta())
    began = time.perf_counter()
    scheduler = make()
    look(scheduler)
    found["load"] = time.perf_counter() - began
    gc.collect()
    look(scheduler)
    ticks = []
    for _ in range(TICKS):
        began = time.perf_counter()
        look(scheduler)
        ticks.append(time.perf_counter() - began)
    found["idle"] = middle(ticks)
    row = PeriodicTask.objects.order_by("pk")[7]
    row.description = f"changed {time.time()}"
    row.save()
    began = time.perf_counter()
    look(scheduler)
    look(scheduler)
    found["change"] = time.perf_counter() - began
    found["effect"] = until_sent(scheduler)
    ran(timedelta(hours=2))
    look(scheduler)
    with sends() as sent:
        began = time.perf_counter()
        while len(sent) < SENDS and time.perf_counter() - began < LONGEST:
            scheduler.tick()
        found["sends"] = len(sent) / (time.perf_counter() - began)
    if seconds:
        del scheduler  # its rows are in no one's way while the next one reads them
        gc.collect()
        found |= in_time(make, rows, seconds, wait=5 + 4 * found["load"])
    redis.client().flushdb()
    return found


def in_time(make: Callable[[], Any], rows: int, seconds: float, wait: float) -> dict[str, float]:
    """Return by how much the messages are late while as many rows a second are due as in an hour of all rows.

    A message counts from the end of the tick that made it: what goes out together is heard of before it is there.
    """
    number = max(1, int(rows / 3600 * seconds))
    apart = seconds / number
    began = ran(timedelta(), number, apart=apart, wait=wait)
    scheduler = make()
    look(scheduler)  # it has read all rows before the first is due
    last = began + seconds + 1  # the last row is due a second before
    times: dict[str, float] = {}
    with sends() as sent:
        while (now := time.time()) < last:
            sleep = scheduler.tick()
            end = time.time()
            times.update((name, end) for name, _ in sent)
            sent.clear()
            time.sleep(max(0.0, min(sleep, last - now, 1.0)))
        end = time.time()
    late = [
        times.get(f"Row {place * 5}", end) - (began + apart * (place + 1))
        for place in range(number)
        if began + apart * (place + 1) <= end
    ]
    return {"late": percentile(late, 0.99), "unsent": sum(f"Row {place * 5}" not in times for place in range(number))}


@contextlib.contextmanager
def sends() -> Iterator[list[tuple[str, float]]]:
    """Collect what is sent, as pairs of schedule and time."""
    from celery.signals import after_task_publish

    found: list[tuple[str, float]] = []

    def collect(headers: Any = None, **_: Any) -> None:
        found.append((headers["periodic_task_name"], time.time()))

    after_task_publish.connect(collect, weak=False)
    try:
        yield found
    finally:
        after_task_publish.disconnect(collect)


def show(vendor: str, rows: int, found: dict[str, dict[str, list[float]]]) -> None:
    """Print both sides with the ratios."""
    mine, peer = found["ours"], found["theirs"]

    def ratio(what: str) -> float:
        return middle([b / a for a, b in zip(mine[what], peer[what], strict=True)])

    lines: list[tuple[object, ...]] = [("", "ours", "django-celery-beat", "ratio", "budget", "")]
    for what, words, scale, digits, budget in (
        ("load", "all rows read, s", 1.0, 2, None),
        ("idle", "idle tick, ms", 1e3, 2, 100.0),
        ("change", "one changed row read, ms", 1e3, 1, 100.0),
    ):
        value = ratio(what)
        sides = [spread([scale * one for one in side[what]], digits) for side in (mine, peer)]
        met = verdict(value, budget, at_least=True) if budget else ""
        lines.append((words, *sides, f"{value:.1f}", f"{budget:.0f}" if budget else "", met))
    effect = [spread(side["effect"], 2) for side in (mine, peer)]
    lines.append(("from a change to its message, s", *effect, "", "1 s", verdict(max(mine["effect"]), 1.0)))
    faster = 1 / ratio("sends")
    lines.append(
        ("sends a second when all are due", spread(mine["sends"], 0), spread(peer["sends"], 1), f"{faster:.0f}", "50",
         verdict(faster, 50, at_least=True))
    )  # fmt: skip
    late, behind = mine["late"][0], peer["late"][0]
    lines.append(
        ("late against the time due, p99, s", f"{late:.2f}", f"{behind:.2f}", "", "1 s", verdict(late, 1.0))
    )  # fmt: skip
    lines.append(("not sent by the end of that", f"{mine['unsent'][0]:.0f}", f"{peer['unsent'][0]:.0f}", "", "", ""))
    table(f"{rows:,} schedules on {vendor}", lines)


if __name__ == "__main__":
    main()
