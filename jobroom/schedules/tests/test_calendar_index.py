"""Looking up times in calendars, against a look at each minute."""

import datetime
import random
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from jobroom.schedules.services.calendar_days import parse
from jobroom.schedules.services.calendar_entries import WEEK
from jobroom.schedules.services.calendar_index import Days, days_of
from jobroom.schedules.services.closures import Closures

BEGIN = datetime.datetime(2026, 12, 28)
UTC = ZoneInfo("UTC")
LENGTH = 12  # days


def _line(dice):
    day = BEGIN.date() + timedelta(days=dice.randrange(-1, LENGTH))
    match dice.randrange(4):
        case 0:
            return f"{day} to {day + timedelta(days=dice.randrange(3))} some words"
        case 1:
            end = datetime.datetime.combine(day, datetime.time(dice.randrange(24))) + timedelta(
                hours=dice.randrange(1, 30)
            )
            begin = end - timedelta(hours=dice.randrange(1, 20), minutes=dice.choice([0, 30]))
            return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
        case 2:
            return f"every {day:%m-%d}"
        case _:
            first = dice.randrange(23)
            hours = dice.choice(["", f" {first:02}:00-{dice.randrange(first + 1, 25):02}:00"])
            return f"every {dice.choice(WEEK)}{hours}"


def _closures(not_on, only_on):
    def named(lines):
        return (("C", Days(parse("\n".join(lines)))),) if lines else ()

    return Closures(UTC, named(not_on), named(only_on), (), moves=True)


@pytest.mark.parametrize("seed", range(25))
def test_the_next_open_time_is_that_of_a_look_at_each_half_hour(seed):
    dice = random.Random(seed)
    not_on = [_line(dice) for _ in range(dice.randrange(1, 8))]
    only_on = [_line(dice) for _ in range(dice.choice([0, 0, 4]))]
    found = _closures(not_on, only_on)
    entries = [parse("\n".join(lines)) for lines in (not_on, only_on)]

    def is_open(local):
        closed = any(entry.covers(local) for entry in entries[0])
        return not closed and (not only_on or any(entry.covers(local) for entry in entries[1]))

    minutes = [BEGIN + timedelta(minutes=30 * number) for number in range(LENGTH * 48)]
    for local in minutes[::7]:
        moment = local.replace(tzinfo=UTC)
        assert bool(found.why(moment)) is not is_open(local), local
        expected = next((each for each in minutes if each >= local and is_open(each)), None)
        opens = found.opens(moment)
        if expected is None:
            assert opens is None or opens.replace(tzinfo=None) > minutes[-1]
        else:
            assert opens.replace(tzinfo=None) == expected, (local, not_on, only_on)


def test_a_leap_day_is_found_years_ahead():
    assert days_of("every 02-29").next_edge(datetime.datetime(2097, 1, 1)) == datetime.datetime(2104, 2, 29)


def test_lines_that_were_written_past_our_forms_cover_nothing():
    assert not days_of("soon").covers(BEGIN)
