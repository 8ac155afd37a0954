"""Delays runs a little, so that schedules of the same time do not all start at once.

The delay hangs on the schedule and the moment alone: every scheduler, the pages and the API compute the same one.
"""

import hashlib
from datetime import UTC, datetime, timedelta

from django_celery_beat.models import PeriodicTask

from jobroom.schedules.models import SchedulePolicy

# Parts into which the longest delay is divided.
_PARTS = 2**32


def longest(row: PeriodicTask) -> timedelta:
    """Return by how much a run of the schedule may be delayed; nothing but intervals and crontabs is."""
    policy: SchedulePolicy | None = getattr(row, "policy", None) if row.interval_id or row.crontab_id else None
    return timedelta(seconds=policy.jitter) if policy is not None else timedelta()


def start(row: PeriodicTask, due: datetime, following: datetime) -> datetime:
    """Return when the run that is due at `due` takes place: at most the jitter later, and before `following`, the next one."""
    most = min(longest(row), following.astimezone(UTC) - due.astimezone(UTC))
    digest = hashlib.sha256(f"{row.pk}:{due.timestamp():.6f}".encode()).digest()
    late = most * (int.from_bytes(digest[:4], "big") / _PARTS)
    # In UTC: the clocks of a zone jump.
    return (due.astimezone(UTC) + late).astimezone(due.tzinfo)
