"""`manage.py schedules`: the short name of `manage.py jobroom schedules`."""

from jobroom.schedules.commands.schedules import Command

__all__ = ["Command"]
