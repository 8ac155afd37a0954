"""`manage.py deadletters`: the short name of `manage.py jobroom deadletters`."""

from jobroom.workers.commands.deadletters import Command

__all__ = ["Command"]
