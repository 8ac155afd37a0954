"""Receivers of signals in the workers app: rescue, missing messages and dead letters, in the recorder's housekeeping."""

from typing import Any

from jobroom.events.consumer import Mark
from jobroom.signals import cancel_asked, event_recorded, housekeeping, messages_asked
from jobroom.workers import broker, dead_letters, missing_messages, rescue, termination


def connect() -> None:
    """Connect the receivers; twice is the same as once."""
    housekeeping.connect(_rescue, dispatch_uid="jobroom.workers.rescue")
    housekeeping.connect(_look_for_missing, dispatch_uid="jobroom.workers.missing_messages")
    housekeeping.connect(_end, dispatch_uid="jobroom.workers.end")
    cancel_asked.connect(_revoke, dispatch_uid="jobroom.workers.revoke")
    messages_asked.connect(_messages, dispatch_uid="jobroom.workers.messages")
    event_recorded.connect(_refused, dispatch_uid="jobroom.workers.refused")
    housekeeping.connect(_prune, dispatch_uid="jobroom.workers.prune")


def _refused(event: dict[str, Any], **_: Any) -> None:
    if event.get("type") == "refused":
        dead_letters.record(event)


def _prune(**_: Any) -> None:
    dead_letters.prune()


def _rescue(mark: Mark | None = None, **_: Any) -> None:
    rescue.safely(mark)


def _look_for_missing(mark: Mark | None = None, **_: Any) -> None:
    if mark is not None:
        missing_messages.safely(mark)


def _end(**_: Any) -> None:
    termination.safely()


def _revoke(waiting: list[str], **_: Any) -> None:
    termination.revoke(waiting)


def _messages(queues: set[str], **_: Any) -> set[str] | None:
    return broker.jobs_known(queues)
