"""`manage.py record`: the short name of `manage.py jobroom record`."""

from jobroom.jobs.commands.record import Command

__all__ = ["Command"]
