"""Tells the audit what a person did to schedules."""

from django_celery_beat.models import PeriodicTask

from jobroom.signals import acted
from jobroom.users import User


def tell(by: User | None, action: str, names: str, *, reason: str = "", outcome: str = "") -> None:
    """Tell what `by` did to the schedules `names`; the machine, None, is no person."""
    if by is not None:
        who = by.get_username()
        acted.send(
            sender=PeriodicTask, who=who, action=action, kind="schedule", target=names, reason=reason, outcome=outcome
        )
