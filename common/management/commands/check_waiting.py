"""`manage.py check_waiting`: the short name of `manage.py jobroom check_waiting`."""

from jobroom.queues.commands.check_waiting import Command

__all__ = ["Command"]
