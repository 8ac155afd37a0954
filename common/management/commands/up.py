"""`manage.py up`: the short name of `manage.py jobroom up`."""

from jobroom.commands.up import Command

__all__ = ["Command"]
