"""`manage.py deadlines`: the short name of `manage.py jobroom deadlines`."""

from jobroom.jobs.commands.deadlines import Command

__all__ = ["Command"]
