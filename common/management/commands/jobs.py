"""`manage.py jobs`: the short name of `manage.py jobroom jobs`."""

from jobroom.jobs.commands.jobs import Command

__all__ = ["Command"]
