"""Clocks that were set, hours that come twice or never, and rows changed by code, with a real beat and a real worker."""

import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.result import AsyncResult
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from jobroom import redis
from jobroom.testing import wait_until
from jobroom.testing.processes import Beat, Worker
from tests.acceptance.clockwork import MOMENTS, REACHED, SENT

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(480)]

APP = "tests.acceptance.clockwork"
PATIENCE = 60
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module")
def processes(django_db_setup):
    """One beat, whose clock the tests move, and one worker."""
    redis.client().flushdb()
    with Worker(app=APP) as worker, Beat(app=APP) as beat:
        yield beat, worker


@pytest.fixture
def beat(processes):
    """The beat, at the time of now, with nothing sent yet."""
    redis.client().flushdb()
    move(timezone.now(), how="set")
    redis.client().delete(SENT)
    return processes[0]


def move(*moments: datetime, how: str) -> None:
    """Let beat's clock run on to these moments, one after the other, or be set to them; wait until it is there."""
    client = redis.client()
    client.delete(REACHED)
    client.rpush(MOMENTS, *[json.dumps([moment.isoformat(), how]) for moment in moments])
    wait_until(lambda: int(client.get(REACHED) or 0) == len(moments), PATIENCE, "the clock is there")


def sent(name: str) -> list[tuple[datetime, str]]:
    """Return at what times of its clock beat sent jobs of the schedule, with their ids."""
    rows: Any = redis.client().lrange(SENT, 0, -1)
    return [(datetime.fromisoformat(at), job) for schedule, at, job in map(json.loads, rows) if schedule == name]


def times(name: str) -> list[datetime]:
    return [at for at, _ in sent(name)]


def have_run(name: str) -> bool:
    return all(AsyncResult(job).successful() for _, job in sent(name))


def row(name: str, last: datetime, **when: Any) -> PeriodicTask:
    """Make a schedule that has run last at that time."""
    made = PeriodicTask.objects.create(name=name, task="demo.echo", args='["x"]', **when)
    PeriodicTask.objects.filter(pk=made.pk).update(last_run_at=last)
    PeriodicTasks.update_changed()
    return PeriodicTask.objects.get(pk=made.pk)


def each_second() -> IntervalSchedule:
    return IntervalSchedule.objects.get_or_create(every=1, period="seconds")[0]


def at_minute(moment: datetime, **fields: Any) -> CrontabSchedule:
    """Return a crontab of each hour at the minute of that moment."""
    return CrontabSchedule.objects.create(minute=str(moment.minute), timezone="UTC", **fields)


def goes_on(name: str) -> None:
    """Wait until a schedule of each second has run a few more times: beat has read what was changed before."""
    seen = len(sent(name))
    wait_until(lambda: len(sent(name)) >= seen + 4, PATIENCE, f"{name} goes on")


# Clocks that are set -----------------------------------------------------------------------------------------------------


def test_a_last_run_in_the_future_counts_as_now_is_said_once_and_shown(beat, admin_client):
    said = "Schedule Ahead: A clock was set back"
    before = beat.log.count(said)
    row("Ahead", timezone.now() + 2 * HOUR, interval=each_second())
    goes_on("Ahead")
    assert beat.log.count(said) == before + 1
    page = admin_client.get("/admin/django_celery_beat/periodictask/").content.decode()
    assert "A clock was set back: it had counted from" in page

    move(timezone.now() - 2 * HOUR, how="set")  # and once more, under the running beat
    goes_on("Ahead")
    assert re.search(r"The clock was set by -7[12]\d\d s", beat.log)
    assert beat.log.count(said) == before + 2
    wait_until(lambda: have_run("Ahead"), PATIENCE, "its jobs ran")
    jobs = [job for _, job in sent("Ahead")]
    assert len(jobs) == len(set(jobs))


# Hours that come twice or never ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", [datetime(2026, 10, 25), datetime(2026, 3, 29)], ids=["repeated", "skipped"])
def test_an_hour_that_comes_twice_or_never(beat, day):
    """From midnight to the next night's 03:30 by the wall clock, a quarter of an hour at a time."""
    begin = day.replace(tzinfo=BERLIN).astimezone(UTC)
    end = (day + timedelta(days=1, hours=3, minutes=30)).replace(tzinfo=BERLIN).astimezone(UTC)
    assert (end - begin) != timedelta(hours=27, minutes=30), "a day of 24 hours would prove nothing"
    move(begin, how="set")
    loads = beat.log.count("Beat has read 4 schedules")
    for name, fields in {
        "Quarters": {"minute": "*/15"},
        "Hourly": {"minute": "30"},
        "Every other": {"minute": "0", "hour": "*/2"},
        "Nightly": {"minute": "30", "hour": "2"},
    }.items():
        row(name, begin, crontab=CrontabSchedule.objects.create(**fields, timezone="Europe/Berlin"))
    wait_until(lambda: beat.log.count("Beat has read 4 schedules") > loads, PATIENCE, "beat knows them")
    quarters = int((end - begin) / QUARTER)
    # A second after each quarter: a run is sent at its time, or at the next moment, where it would be seen as late.
    move(*[begin + number * QUARTER + timedelta(seconds=1) for number in range(1, quarters + 1)], how="runs")
    move(end + timedelta(minutes=1), how="runs")

    def runs(name: str) -> list[datetime]:
        return [at.replace(second=0, microsecond=0) for at in times(name)]

    def gaps(name: str) -> set[timedelta]:
        return {later - earlier for earlier, later in itertools.pairwise(runs(name))}

    assert (len(runs("Quarters")), gaps("Quarters")) == (quarters, {QUARTER})
    assert (len(runs("Hourly")), gaps("Hourly")) == ((quarters + 2) // 4, {HOUR})
    assert max(gaps("Every other")) <= 3 * HOUR
    skipped = day.month == 3
    wall = [at.astimezone(BERLIN) for at in runs("Nightly")]
    assert [(at.day - day.day, at.hour, at.minute, at.fold) for at in wall] == [
        (0, 3 if skipped else 2, 30, 0),
        (1, 2, 30, 0),
    ]
    wait_until(lambda: all(map(have_run, ("Quarters", "Hourly", "Every other", "Nightly"))), PATIENCE, "the jobs ran")


# Rows that code changes --------------------------------------------------------------------------------------------------


def test_what_cannot_be_computed_is_said_once_and_holds_up_nothing(beat):
    begun = len(beat.log)
    row("Each second", timezone.now(), interval=each_second())
    goes_on("Each second")
    centuries = IntervalSchedule.objects.create(every=2_900_000, period="days")
    row("Centuries", timezone.now(), interval=centuries)
    PeriodicTask.objects.create(name="Never", task="demo.echo", crontab=CrontabSchedule.objects.create(
        minute="0", hour="0", day_of_month="31", month_of_year="2", timezone="UTC"
    ))  # fmt: skip
    for _ in range(3):  # each change of a row lets beat read all of them again
        PeriodicTasks.update_changed()
        goes_on("Each second")
    said = beat.log[begun:]
    for name in ("Centuries", "Never"):
        assert said.count(f"Schedule {name} is left out") == 1
        assert sent(name) == []
    assert "Traceback" not in said


def test_what_code_enables_or_changes_makes_up_nothing(beat):
    now = timezone.now()
    # On a whole minute: what follows a minute and a second later is in the next one, however long it takes.
    late, missed = now - 2 * HOUR, now.replace(second=0, microsecond=0) - timedelta(minutes=10)
    enabled = row("Enabled", late, crontab=at_minute(missed), enabled=False)
    changed = row("Changed", late, crontab=at_minute(now + timedelta(minutes=20), hour=str((now + 3 * HOUR).hour)))
    row("Each second", now, interval=each_second())
    goes_on("Each second")
    assert not sent("Enabled")

    enabled.enabled = True
    enabled.save()
    changed.crontab.minute, changed.crontab.hour = str(missed.minute), "*"
    changed.crontab.save()
    goes_on("Each second")
    assert (sent("Enabled"), sent("Changed")) == ([], []), "nothing at once"

    row("Missed", late, crontab=at_minute(missed))  # while what no one touched is made up
    wait_until(lambda: len(sent("Missed")) == 1, PATIENCE)
    PeriodicTask.objects.filter(name="Each second").delete()
    move(*[missed + number * HOUR + timedelta(seconds=61) for number in (1, 2)], how="runs")
    move(missed + 2 * HOUR + timedelta(minutes=2), how="runs")
    for name in ("Enabled", "Changed"):
        assert [at.minute for at in times(name)] in ([(missed.minute + 1) % 60] * 2, [missed.minute] * 2), name
        wait_until(lambda name=name: have_run(name), PATIENCE)
