"""`manage.py workflow`: the short name of `manage.py jobroom workflow`."""

from jobroom.workflows.commands.workflow import Command

__all__ = ["Command"]
