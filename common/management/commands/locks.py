"""`manage.py locks`: the short name of `manage.py jobroom locks`."""

from jobroom.queues.commands.locks import Command

__all__ = ["Command"]
