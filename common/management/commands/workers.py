"""`manage.py workers`: the short name of `manage.py jobroom workers`."""

from jobroom.workers.commands.workers import Command

__all__ = ["Command"]
