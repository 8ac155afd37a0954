"""`manage.py doctor`: the short name of `manage.py jobroom doctor`."""

from jobroom.workers.commands.doctor import Command

__all__ = ["Command"]
