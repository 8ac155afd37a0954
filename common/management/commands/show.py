"""`manage.py show`: the short name of `manage.py jobroom show`."""

from jobroom.jobs.commands.show import Command

__all__ = ["Command"]
