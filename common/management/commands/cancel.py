"""`manage.py cancel`: the short name of `manage.py jobroom cancel`."""

from jobroom.jobs.commands.cancel import Command

__all__ = ["Command"]
