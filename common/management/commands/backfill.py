"""`manage.py backfill`: the short name of `manage.py jobroom backfill`."""

from jobroom.schedules.commands.backfill import Command

__all__ = ["Command"]
