"""The end of a schedule: from then on it sends nothing."""

from datetime import datetime, timedelta

from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom.arguments import WrongArguments
from jobroom.schedules import audit
from jobroom.schedules.services.writes import save
from jobroom.users import User

# A later end is a mistake.
LONGEST = timedelta(days=3650)


def why_not(row: PeriodicTask | None, expires: datetime | None) -> str:
    """Return why the schedule, or a new one, cannot end then; empty if it can. What it says already may stay."""
    if expires is None or (row is not None and expires == row.expires):
        return ""
    if row is not None and row.expire_seconds:
        return f"Its jobs expire after {row.expire_seconds} s each, and only one of the two can be set: change that in the admin."
    if timezone.now() < expires <= timezone.now() + LONGEST:
        return ""
    return f"Give a time to come, at most {LONGEST.days} days from now, or none for a schedule without an end."


def check(row: PeriodicTask | None, expires: datetime | None) -> None:
    """Raise WrongArguments where the schedule cannot end then."""
    if reason := why_not(row, expires):
        raise WrongArguments({"expires": [reason]})


def change(row: PeriodicTask, *, by: User | None, expires: datetime | None) -> str:
    """Let the schedule end then, or not at all; return that as a sentence. Raises WrongArguments."""
    check(row, expires)
    row.expires = expires
    save(row, ["expires"], created=False)
    said = f"It ends at {timezone.localtime(expires):%Y-%m-%d %H:%M:%S %Z}." if expires else "It has no end."
    audit.record(by, "changed", row.name, outcome=said)
    return said
