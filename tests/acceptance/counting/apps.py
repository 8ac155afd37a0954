"""Counts in Redis, where tests see it."""

from typing import Any

from django.apps import AppConfig

from jobroom import redis
from jobroom.signals import housekeeping

ROUNDS = "counting:rounds"


def _count(**_: Any) -> None:
    redis.client().incr(ROUNDS)


class Config(AppConfig):
    """Listens to the recorder."""

    name = "tests.acceptance.counting"

    def ready(self) -> None:
        """Count each round of this process."""
        housekeeping.connect(_count, dispatch_uid=self.name)
