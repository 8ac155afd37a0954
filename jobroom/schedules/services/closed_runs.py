"""What a scheduler does about runs that are due: by the calendars of their schedule first, then by its policy."""

from datetime import datetime
from typing import Any

from django_celery_beat.models import PeriodicTask

from jobroom.schedules.models import ScheduledRun
from jobroom.schedules.services import closures, runs
from jobroom.schedules.services.closures import Closures
from jobroom.schedules.services.runs import LATE, MOST_LISTED, Plan


def plan(row: PeriodicTask, schedule: Any, dues: list[datetime], *, older: bool, now: datetime) -> Plan:
    """Return what becomes of the moments `dues`, as `runs.plan` does; those that are closed were never missed.

    One that is made up long after its time waits where the schedule is closed now.
    """
    found = closures.of(row)
    if found is None:
        return runs.plan(row, dues, older=older, now=now)
    closed = {due: why for due in dues if (why := found.why(due))}
    planned = runs.plan(row, [due for due in dues if due not in closed], older=older, now=now)
    listed = list(closed.items())[-MOST_LISTED:]
    planned.rows += [closures.outcome(row, found, schedule, due, why) for due, why in listed]
    if planned.now is not None and now - planned.now > LATE and (why := found.why(now)):
        planned.rows.append(_put_off(row, found, planned.now, now, why))
        planned.now = None
    return planned


def _put_off(row: PeriodicTask, found: Closures, due: datetime, now: datetime, why: str) -> ScheduledRun:
    until = found.opens(now)
    if until is None:
        return runs.skipped(row, due, why)
    return closures.waiting(row, due, until, why)
