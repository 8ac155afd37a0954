"""`manage.py queues`: the short name of `manage.py jobroom queues`."""

from jobroom.queues.commands.queues import Command

__all__ = ["Command"]
