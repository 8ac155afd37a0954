"""`manage.py retry`: the short name of `manage.py jobroom retry`."""

from jobroom.jobs.commands.retry import Command

__all__ = ["Command"]
