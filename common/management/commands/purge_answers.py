"""`manage.py purge_answers`: the short name of `manage.py jobroom purge_answers`."""

from jobroom.jobs.commands.purge_answers import Command

__all__ = ["Command"]
