"""`manage.py times`: the short name of `manage.py jobroom times`."""

from jobroom.jobs.commands.times import Command

__all__ = ["Command"]
