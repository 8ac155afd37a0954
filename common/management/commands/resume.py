"""`manage.py resume`: the short name of `manage.py jobroom resume`."""

from jobroom.queues.commands.resume import Command

__all__ = ["Command"]
