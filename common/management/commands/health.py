"""`manage.py health`: the short name of `manage.py jobroom health`."""

from jobroom.workers.commands.health import Command

__all__ = ["Command"]
