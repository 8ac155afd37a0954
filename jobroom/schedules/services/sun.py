"""Events of the sun: when one comes next at a place, and how people write it.

Celery's `solar` computes with the package ephem (XEphem's libastro), which is optional.
"""

import importlib.util
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django_celery_beat.models import SOLAR_SCHEDULES, SolarSchedule

from jobroom.arguments import WrongArguments

# Events as django-celery-beat's table names them, with their words.
EVENTS = {str(name): str(words) for name, words in SOLAR_SCHEDULES}
MISSING = (
    "Schedules at events of the sun need the Python package ephem: install django-jobroom[solar] where the web server and beat run, or "
    "choose a time of the day."
)
REMEDY = "Write an event, latitude and longitude, such as sunrise at 52.52, 13.405; south and west are negative."
_LINE = re.compile(r"([a-z_]+) at (-?\d+(?:\.\d+)?)\s*,?\s+(-?\d+(?:\.\d+)?)", re.IGNORECASE)
# Days in which an event is looked for: near the poles the sun does not rise for months.
_DAYS = 370
_SECOND = timedelta(seconds=1)


def is_installed() -> bool:
    """Return whether events of the sun can be computed here."""
    return importlib.util.find_spec("ephem") is not None


def next_after(schedule: Any, moment: datetime) -> datetime:
    """Return the first event after `moment`, to the full second before it; raise RuntimeError where there is none within a year.

    Args:
        schedule: Celery's solar schedule.
        moment: an aware time.

    """
    sun, cal = schedule.ephem.Sun(), schedule.cal
    options = {"use_center": True} if schedule.use_center else {}
    start = cal.date = schedule.ephem.Date((moment + _SECOND).astimezone(UTC).replace(tzinfo=None))
    for _ in range(_DAYS):
        try:
            found: datetime = getattr(cal, schedule.method)(sun, start=start, **options).datetime()
        except schedule.ephem.CircumpolarError:
            start = cal.next_antitransit(sun, start=start)
            continue
        return found.replace(microsecond=0, tzinfo=UTC)
    raise RuntimeError("this event does not come about at that place within a year")


def is_line(text: str) -> bool:
    """Return whether a line is meant as an event of the sun."""
    return text.lower().partition(" ")[0] in EVENTS


def read(text: str) -> SolarSchedule:
    """Return the row of a line such as `sunrise at 52.52, 13.405`, not stored yet; raise WrongArguments for `cron`."""
    if not is_installed():
        raise _wrong(MISSING)
    found = _LINE.fullmatch(text)
    if found is None or found[1].lower() not in EVENTS:
        raise _wrong(f"“{text}” is not understood. {REMEDY}")
    latitude, longitude = (round(Decimal(number), 6) for number in found.groups()[1:])
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise _wrong("Give a latitude from -90 to 90 and a longitude from -180 to 180.")
    return SolarSchedule(event=found[1].lower(), latitude=latitude, longitude=longitude)


def written(row: SolarSchedule) -> str:
    """Return the line of a row."""
    return f"{row.event} at {short(row.latitude)}, {short(row.longitude)}"


def sentence(row: SolarSchedule) -> str:
    """Return in words when it is."""
    south, west = row.latitude < 0, row.longitude < 0
    place = f"{short(abs(row.latitude))}° {'S' if south else 'N'}, {short(abs(row.longitude))}° {'W' if west else 'E'}"
    return f"at {EVENTS.get(row.event, row.event).lower()}, at {place}"


def short(degrees: Any) -> str:
    """Return degrees without zeros at the end."""
    return f"{Decimal(degrees).normalize():f}"


def _wrong(text: str) -> WrongArguments:
    return WrongArguments({"cron": [text]})
