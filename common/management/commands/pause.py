"""`manage.py pause`: the short name of `manage.py jobroom pause`."""

from jobroom.queues.commands.pause import Command

__all__ = ["Command"]
