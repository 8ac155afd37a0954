"""`manage.py failures`: the short name of `manage.py jobroom failures`."""

from jobroom.jobs.commands.failures import Command

__all__ = ["Command"]
