"""Crontabs in words: whatever the fields are written with, the words are about what runs."""

from itertools import product
from zoneinfo import ZoneInfo

import pytest

from jobroom.schedules.services.crontab_words import words
from jobroom.schedules.services.wallclock import WallClock


def said(line):
    minute, hour, day, month, week = line.split()
    zone = ZoneInfo("Europe/Berlin")
    return words(
        WallClock(minute=minute, hour=hour, day_of_month=day, month_of_year=month, day_of_week=week, tz=zone)
    ).removesuffix(" (Europe/Berlin)")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("0,30 * * * *", "every 30 minutes"),
        ("0 * * * *", "every hour"),
        ("5 * * * *", "every hour, at minute 5"),
        ("30 */2 * * *", "every 2 hours, at minute 30"),
        ("0 8-18 * * *", "every hour from 08:00 to 18:00"),
        ("7,22,41 * * * *", "at the minutes 7, 22 and 41 of the hour"),
        ("*/10 */3 * * *", "every 10 minutes, in every third hour from midnight"),
        ("0-30/5 8-18 * * 1-5", "every 5 minutes from minute 0 to 30 of the hour, 08:00 to 18:59, Monday to Friday"),
        ("5 8,9,10,11,12,14,15 * * *", "at 08:05, 09:05, 10:05, 11:05, 12:05, 14:05 and 15:05"),
        ("0 6 * * 1-5", "at 06:00, Monday to Friday"),
        ("0 6 * * mon-wed,fri", "at 06:00, Monday to Wednesday and Friday"),
        ("0 6,18 * * 6,0", "at 06:00 and 18:00, on Saturday and Sunday"),
        ("0 6 * * */2", "at 06:00, on Tuesday, Thursday, Saturday and Sunday"),
        ("0 0 1 jan,jul *", "at 00:00, on day 1 of January and July"),
        ("0 0 * jan-mar *", "at 00:00, in January to March"),
        ("0 6 1-5,20 * *", "at 06:00, on days 1 to 5 and 20 of the month"),
        ("7 6 29 2 *", "at 06:07, on 29 February"),
        # Celery wants both to be right, unlike cron.
        ("0 6 1-7 november mon", "at 06:00, on days 1 to 7 of November if that is a Monday"),
        ("0 6 1 * 1,2", "at 06:00, on day 1 of the month if that is a Monday or Tuesday"),
    ],
)
def test_a_crontab_is_said_as_people_say_it(line, text):
    assert said(line) == text


def test_every_crontab_has_words():
    minutes, hours = ("*", "0", "*/7", "1,5", "3-9"), ("*", "2", "*/5", "*/12", "22-4", "1,2,9")
    days, months, weeks = ("*", "29", "1,2,9-12"), ("*", "feb", "*/5"), ("*", "0", "5-1")
    for fields in product(minutes, hours, days, months, weeks):
        assert said(" ".join(fields))
