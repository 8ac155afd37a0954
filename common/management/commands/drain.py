"""`manage.py drain`: the short name of `manage.py jobroom drain`."""

from jobroom.workers.commands.drain import Command

__all__ = ["Command"]
