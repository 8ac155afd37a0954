"""The times at which a schedule was due within a period, for which a scheduler has to account."""

from datetime import datetime, timedelta
from typing import Any

from django_celery_beat.models import PeriodicTask

from jobroom.schedules.services.next_runs import UNUSABLE, run_after

# Most moments that are looked at.
MOST = 1000
# Far back is looked only where the newest moments lie so far apart that it costs little.
_FIRST_SPAN, _WIDER = timedelta(hours=1), 8


def due_times(
    row: PeriodicTask, schedule: Any, since: datetime, until: datetime, most: int = MOST
) -> tuple[list[datetime], bool]:
    """Return the newest moments after `since` and up to `until` at which the schedule is due, and whether there are older ones.

    Args:
        row: the schedule.
        schedule: Celery's schedule object of it.
        since: the last run, or the moment from which the schedule counts.
        until: now.
        most: so many moments at most; the newest are given, in order.

    """
    if row.interval:
        return _of_interval(schedule.run_every, since, until, most)
    span = _FIRST_SPAN
    while True:
        begin = max(since, until - span)
        found = _between(row, schedule, begin, until)
        if begin == since or len(found) >= most:
            return found[-most:], begin > since or len(found) > most
        span *= _WIDER


def _of_interval(every: timedelta, since: datetime, until: datetime, most: int) -> tuple[list[datetime], bool]:
    number = max((until - since) // every, 0)
    first = max(number - most, 0) + 1
    return [since + every * n for n in range(first, number + 1)], first > 1


def _between(row: PeriodicTask, schedule: Any, begin: datetime, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    moment = begin
    try:
        while (moment := run_after(row, schedule, moment)) <= until:
            if found and moment <= found[-1]:
                break  # a clocked time, which comes once
            found.append(moment)
    except UNUSABLE:
        return found  # its date never comes again
    return found
