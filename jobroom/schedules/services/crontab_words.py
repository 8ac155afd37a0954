"""Says a crontab in words, from the moments that Celery makes of its fields, so that the words are what runs."""

import calendar
from collections.abc import Iterable, Iterator, Sequence

from jobroom.schedules.services.wallclock import WallClock

_DAYS = tuple(calendar.day_name)  # Monday first, as weeks are shown
_MONTHS = tuple(calendar.month_name)
# So many times of a day are named one by one.
_NAMED = 6


def words(schedule: WallClock) -> str:
    """Return when it runs: times, days, months and the zone, such as “at 06:00, Monday to Friday (Europe/Berlin)”."""
    parts = [_times(sorted(schedule.minute), sorted(schedule.hour)), *_days(schedule)]
    return f"{', '.join(part for part in parts if part)} ({schedule.tz})"


def _times(minutes: Sequence[int], hours: Sequence[int]) -> str:
    if len(minutes) * len(hours) <= _NAMED:
        return f"at {_listed(f'{hour:02}:{minute:02}' for hour in hours for minute in minutes)}"
    if len(minutes) > 1:
        return f"{_steps(minutes)}{_during(hours)}"
    if _even(hours, 24):
        return f"{_step(hours, 'hour')}, at minute {minutes[0]}" if minutes[0] else _step(hours, "hour")
    times = [f"{hour:02}:{minutes[0]:02}" for hour in hours]
    return f"{_step(hours, 'hour')} from {times[0]} to {times[-1]}" if _step(hours, "hour") else f"at {_listed(times)}"


def _steps(minutes: Sequence[int]) -> str:
    if _even(minutes, 60):
        return _step(minutes, "minute")
    if _step(minutes, "minute"):
        return f"{_step(minutes, 'minute')} from minute {minutes[0]} to {minutes[-1]} of the hour"
    return f"at the minutes {_listed(str(minute) for minute in minutes)} of the hour"


def _step(values: Sequence[int], unit: str) -> str:
    """Return how often the values come, empty where they are no even steps."""
    step = values[1] - values[0]
    if list(values) != list(range(values[0], values[-1] + 1, step)):
        return ""
    return f"every {unit}" if step == 1 else f"every {step} {unit}s"


def _during(hours: Sequence[int]) -> str:
    """Return in which hours of the day something runs more often than once; nothing where it is in all."""
    if len(hours) == 24:
        return ""
    if _even(hours, 24):
        return f", in every {_ordinal(hours[1])} hour from midnight"
    return f", {_listed(f'{first:02}:00 to {last:02}:59' for first, last in _runs(hours, least=2))}"


def _even(values: Sequence[int], whole: int) -> bool:
    """Return whether the values go through the whole hour or day, from 0 in steps of one length."""
    return len(values) > 1 and whole % values[1] == 0 and list(values) == list(range(0, whole, values[1]))


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _days(schedule: WallClock) -> list[str]:
    """Return the days and the months; a day of the month and a weekday have both to be right, as Celery has it."""
    # Sunday is 0 to Celery and comes last here.
    days = sorted((day - 1) % 7 for day in schedule.day_of_week)
    weekdays = "" if len(days) == 7 else _named(days, _DAYS)
    months = "" if len(schedule.month_of_year) == 12 else _named(sorted(schedule.month_of_year), _MONTHS)
    if len(schedule.day_of_month) == 31:
        weekly = weekdays if " to " in weekdays or not weekdays else f"on {weekdays}"
        return [weekly, f"in {months}" if months else ""]
    return [_dates(sorted(schedule.day_of_month), months) + (f" if that is a {_either(weekdays)}" if weekdays else "")]


def _either(days: str) -> str:
    return days.replace(" and ", " or ")


def _dates(days: Sequence[int], months: str) -> str:
    if len(days) == 1 and months in _MONTHS[1:]:
        return f"on {days[0]} {months}"
    numbers = _named(days, [str(day) for day in range(32)])
    return f"on day{'s' if len(days) > 1 else ''} {numbers} of {months or 'the month'}"


def _named(values: Sequence[int], names: Sequence[str]) -> str:
    """Return the names of the values, three and more in a row as “first to last”."""
    spans = (
        names[first] if first == last else f"{names[first]} to {names[last]}" for first, last in _runs(values, least=3)
    )
    return _listed(spans)


def _runs(values: Sequence[int], least: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of each stretch of values without a gap; shorter ones than `least` one by one."""
    stretches: list[list[int]] = []
    for value in values:
        if stretches and value == stretches[-1][-1] + 1:
            stretches[-1].append(value)
        else:
            stretches.append([value])
    for one in stretches:
        yield from [(one[0], one[-1])] if len(one) >= least else [(value, value) for value in one]


def _listed(texts: Iterable[str]) -> str:
    """Return the texts as a sentence has them: “a, b and c”."""
    *before, last = texts
    return f"{', '.join(before)} and {last}" if before else last
