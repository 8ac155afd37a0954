"""`manage.py tasks`: the short name of `manage.py jobroom tasks`."""

from jobroom.jobs.commands.tasks import Command

__all__ = ["Command"]
