"""`manage.py alerts`: the short name of `manage.py jobroom alerts`."""

from jobroom.notifications.commands.alerts import Command

__all__ = ["Command"]
