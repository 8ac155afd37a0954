"""Crontabs around the next change of the clocks, in every time zone that has one."""

import functools
import itertools
import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from jobroom.schedules.services.wallclock import WallClock, is_repeated, is_skipped

NOW = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@functools.cache
def _changes(zone):
    """Return the zone's next change of its clocks in each direction: (moment, by how much)."""
    found = {}
    tz = ZoneInfo(zone)
    moment = NOW
    for _ in range(54):
        later = moment + timedelta(days=7)
        if _offset(tz, moment) != _offset(tz, later):
            at = _exactly(tz, moment, later)
            by = _offset(tz, at) - _offset(tz, at - timedelta(minutes=1))
            found.setdefault(by > timedelta(), (at, by))
        moment = later
    return tuple(found.values())


def _offset(tz, moment):
    return moment.astimezone(tz).utcoffset()


def _exactly(tz, low, high):
    before = _offset(tz, low)
    while high - low > timedelta(minutes=1):
        middle = low + ((high - low) / 2 // timedelta(minutes=1)) * timedelta(minutes=1)
        low, high = (middle, high) if _offset(tz, middle) == before else (low, middle)
    return high


def _with_changes():
    """Return one zone of each set that changes its clocks alike: of Europe's forty, one."""
    alike = {}
    for zone in sorted(available_timezones()):
        if changes := _changes(zone):
            alike.setdefault((changes, _offset(ZoneInfo(zone), NOW)), zone)
    return sorted(alike.values())


def _runs(schedule, begin, end):
    found = []
    moment = begin
    while (moment := schedule.next_after(moment).astimezone(UTC)) < end:
        found.append(moment)
    return found


def _gaps(runs):
    return {later - earlier for earlier, later in itertools.pairwise(runs)}


def test_there_are_zones_to_test():
    assert len(_with_changes()) > 20


@pytest.mark.parametrize("zone", _with_changes())
def test_frequent_crontabs_go_by_elapsed_time(zone):
    tz = ZoneInfo(zone)
    for at, by in _changes(zone):
        window = (at - 6 * HOUR, at + 6 * HOUR)
        assert _gaps(_runs(WallClock(minute="*/15", tz=tz), *window)) == {timedelta(minutes=15)}
        if by % HOUR == timedelta():
            assert _gaps(_runs(WallClock(minute="30", tz=tz), *window)) == {HOUR}
        assert max(_gaps(_runs(WallClock(minute="0", hour="*/2", tz=tz), *window))) <= 2 * HOUR + abs(by)


@pytest.mark.parametrize("zone", _with_changes())
def test_daily_crontabs_run_once_a_day_at_each_minute_around_the_change(zone):
    tz = ZoneInfo(zone)
    for at, by in _changes(zone):
        wall = (at - timedelta(minutes=1)).astimezone(tz).replace(fold=0)
        for minutes in range(-180, 181, 30):
            clock = (wall.replace(tzinfo=None) + timedelta(minutes=minutes)).time()
            daily = WallClock(minute=str(clock.minute), hour=str(clock.hour), tz=tz)
            runs = _runs(daily, at - 3 * 24 * HOUR, at + 3 * 24 * HOUR)
            assert len(runs) in (5, 6, 7)
            assert 24 * HOUR - abs(by) <= min(_gaps(runs)) <= max(_gaps(runs)) <= 24 * HOUR + abs(by), (clock, runs)
            for run in runs:
                shown = run.astimezone(tz)
                wanted = (shown - abs(by)).replace(hour=clock.hour, minute=clock.minute, fold=0)
                assert is_skipped(wanted) or (shown.hour, shown.minute, shown.fold) == (clock.hour, clock.minute, 0)


@pytest.mark.parametrize("zone", _with_changes())
def test_beat_waits_for_the_next_run_as_long_as_it_takes(zone):
    """Beat asks how long, of a last run and a time of the same zone: clocks that jump between them make no difference."""
    tz = ZoneInfo(zone)
    for at, _ in _changes(zone):
        for fields in ({"minute": "*/15"}, {"minute": "0", "hour": "*/2"}, {"minute": "30", "hour": "2"}):
            schedule = WallClock(**fields, tz=tz)
            for minutes in range(-150, 151, 25):
                last = at + timedelta(minutes=minutes)
                schedule.nowfun = lambda: (last + timedelta(minutes=1)).astimezone(tz)  # noqa: B023
                wait = schedule.next_after(last).astimezone(UTC) - last - timedelta(minutes=1)
                assert schedule.remaining_estimate(last.astimezone(tz)) == wait


def test_the_hour_that_is_repeated_and_the_hour_that_is_skipped_in_berlin():
    tz = ZoneInfo("Europe/Berlin")
    back = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 for the first time
    nightly = WallClock(minute="30", hour="2", tz=tz)
    assert nightly.next_after(back - HOUR).astimezone(UTC) == back
    assert nightly.next_after(back).astimezone(UTC) == back + 25 * HOUR
    forward = nightly.next_after(datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert (forward.hour, forward.minute) == (3, 30)
    assert is_repeated(datetime(2026, 10, 25, 2, 30, tzinfo=tz))
    assert is_skipped(datetime(2026, 3, 29, 2, 30, tzinfo=tz))
    assert not is_repeated(datetime(2026, 10, 25, 3, 30, tzinfo=tz))


@pytest.mark.parametrize(
    "fields",
    [{}, {"minute": "*/7"}, {"hour": "9", "minute": "5"}, {"day_of_week": "mon,fri", "hour": "1"},
     {"day_of_month": "31", "hour": "4"}, {"day_of_month": "29", "month_of_year": "2", "hour": "0"},
     {"day_of_month": "1-7", "day_of_week": "0", "hour": "6,18", "minute": "0,30"}],
)  # fmt: skip
def test_where_no_clock_jumps_it_is_what_celery_says(fields):
    from celery.schedules import crontab

    theirs = crontab(**fields, nowfun=lambda: NOW)
    ours = WallClock(**fields, tz=UTC)
    moment = NOW + timedelta(minutes=3, seconds=20)
    for _ in range(30):
        begin, delta, _now = theirs.remaining_delta(moment, tz=UTC)
        expected = begin + delta
        assert ours.next_after(moment) == expected
        moment = expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"])
def test_what_it_remembers_is_what_it_would_search(zone):
    """The moments come in any order, as those of many schedules do that share one crontab."""
    chosen = random.Random(4)
    for fields in (
        {"minute": "*/7"},
        {"minute": "30", "hour": "2"},
        {"minute": "5", "hour": "*/3", "day_of_week": "0,3"},
    ):
        remembers = WallClock(**fields, tz=ZoneInfo(zone))
        begin = datetime(2026, 10, 24, tzinfo=UTC)
        for _ in range(400):
            moment = begin + timedelta(minutes=chosen.randrange(9 * 24 * 60) // chosen.choice((1, 500)))
            assert remembers.next_after(moment) == WallClock(**fields, tz=ZoneInfo(zone)).next_after(moment)


def test_a_date_that_never_comes_says_so():
    with pytest.raises((RuntimeError, ValueError)):
        WallClock(day_of_month="31", month_of_year="2,4", tz=UTC).next_after(NOW)
    rare = WallClock(day_of_month="29", month_of_year="2", day_of_week="1", hour="0", minute="0", tz=UTC)
    assert rare.next_after(NOW).date().isoformat() == "2044-02-29"
