"""Records in the audit what a person did to schedules."""

from django_celery_beat.models import PeriodicTask

from jobroom.signals import acted
from jobroom.users import User


def record(by: User | None, action: str, names: str, *, reason: str = "", outcome: str = "", who: str = "") -> None:
    """Record what `by` did to the schedules `names`; the machine, None, is no person, but for what it decides as `who`."""
    who = by.get_username() if by is not None else who
    if who:
        acted.send(
            sender=PeriodicTask, who=who, action=action, kind="schedule", target=names, reason=reason, outcome=outcome
        )
