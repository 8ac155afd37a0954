"""`manage.py calendars`: the short name of `manage.py jobroom calendars`."""

from jobroom.schedules.commands.calendars import Command

__all__ = ["Command"]
