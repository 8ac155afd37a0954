"""`manage.py purge_answers`: forget answers that tasks keep."""

import re
from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom import redis
from jobroom.cache import maintenance
from jobroom.jobs import terminal
from jobroom.jobs.exceptions import UnknownTask
from jobroom.jobs.gate import task_called

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Command(BaseCommand):
    """Forget cached results."""

    help = "Forget answers that tasks keep (cache_for). Jobs that have got one keep it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare which ones."""
        parser.add_argument("--task", default="", metavar="NAME", help="only those of this task")
        parser.add_argument(
            "--older-than", default="", metavar="AGE", help="only older ones, such as 90s, 30m, 12h or 7d"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Forget, and say how many."""
        task = options["task"]
        try:
            # Of a task that is gone there may be answers all the same.
            if task and not maintenance.tally(task).kept:
                task_called(task)
            count = maintenance.purge(task=task, older_than=_seconds(options["older_than"]))
        except UnknownTask as error:
            terminal.refuse(f"--task: {error}")
        except (redis.Error, OSError) as error:
            terminal.refuse(f"Redis does not answer: {error}", 1)
        self.stdout.write(f"{count} answers forgotten.")


def _seconds(text: str) -> float:
    if not text:
        return 0.0
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if match is None:
        return terminal.refuse(f"--older-than: {text!r} is no age such as 90s, 30m, 12h or 7d.")
    return float(match[1]) * _UNITS[match[2] or "s"]
