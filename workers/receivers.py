"""What the workers app does when others tell something."""

from typing import Any

from common.signals import housekeeping
from workers import rescue


def connect() -> None:
    """Connect the receivers; twice is the same as once."""
    housekeeping.connect(_rescue, dispatch_uid="workers.rescue")


def _rescue(**_: Any) -> None:
    rescue.safely()
