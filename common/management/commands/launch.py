"""`manage.py launch`: the short name of `manage.py jobroom launch`."""

from jobroom.jobs.commands.launch import Command

__all__ = ["Command"]
