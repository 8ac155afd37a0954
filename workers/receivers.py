"""What the workers app does when others tell something."""

from typing import Any

from common.signals import cancel_asked, housekeeping, messages_asked
from workers import broker, ending, rescue


def connect() -> None:
    """Connect the receivers; twice is the same as once."""
    housekeeping.connect(_rescue, dispatch_uid="workers.rescue")
    housekeeping.connect(_end, dispatch_uid="workers.end")
    cancel_asked.connect(_revoke, dispatch_uid="workers.revoke")
    messages_asked.connect(_messages, dispatch_uid="workers.messages")


def _rescue(**_: Any) -> None:
    rescue.safely()


def _end(**_: Any) -> None:
    ending.safely()


def _revoke(job_id: str, **_: Any) -> None:
    ending.revoke(job_id)


def _messages(queues: set[str], **_: Any) -> set[str] | None:
    return broker.jobs_known(queues)
