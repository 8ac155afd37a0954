"""Parses an entry of the stream into an event that every database can hold, or says why it cannot."""

import dataclasses
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from jobroom import events, truncation
from jobroom.events.consumer import Entry
from jobroom.jobs.exceptions import InvalidEvent
from jobroom.jobs.models import FINISHED, State

# Types that are about a job's life; the others are passed on.
LIFE = frozenset(
    {"queued", "started", "progress", "log", "file", "waiting", "replaced", "retrying", "finished", "moved"}
)
PASSED_ON = frozenset({"mail", "lock", "workflow", "refused"})
_KNOWN = LIFE | PASSED_ON
_NEEDS_EXECUTION = frozenset({"started", "progress", "log", "waiting", "replaced"})
_LONGEST_KEY = 255
_ENDS = frozenset(state.value for state in FINISHED)
# Made once: json.loads makes one for each call that is not plain.
_decode = json.JSONDecoder(parse_constant=str).decode


@dataclasses.dataclass(slots=True)
class Event:
    """One event: its position in the stream, its moment, and what it says."""

    seq: int
    type: str
    job: str
    at: datetime
    data: dict[str, Any]

    def text(self, key: str, limit: int | None = _LONGEST_KEY) -> str:
        """Return the value of `key` as text of at most `limit` characters, empty when there is none."""
        value = self.data.get(key)
        return "" if value is None else str(value)[:limit]

    def said(self, key: str, limit: int) -> str:
        """Return the value of `key` as text that keeps its head and its tail within `limit` characters."""
        return truncation.shorten(self.text(key, None), limit)

    def names(self, key: str) -> list[str]:
        """Return the value of `key` as a list of names, empty when it is none."""
        value = self.data.get(key)
        return [str(name)[:_LONGEST_KEY] for name in value[:20]] if isinstance(value, list) else []

    def number(self, key: str) -> int | None:
        """Return the value of `key` as a whole number that fits a column, None when it is none."""
        value = self.data.get(key)
        if isinstance(value, int) and abs(value) < 2**31:
            return int(value)
        return None


def parse(entry: Entry) -> Event:
    """Return the event of `entry`; raise InvalidEvent when it is none that the database knows."""
    data = _load(entry.text)
    if not isinstance(data, dict):
        raise InvalidEvent("The entry is not a JSON object.")
    event_type, job = data.get("type"), data.get("job")
    if event_type not in _KNOWN:
        raise InvalidEvent(f"There are no events of type {event_type!r}.")
    if event_type in LIFE:
        _check_life(event_type, job, data)
    return Event(events.sequence(entry.id), event_type, job or "", _moment(data.get("at")), data)


def _check_life(event_type: str, job: Any, data: dict[str, Any]) -> None:
    if not isinstance(job, str) or not 0 < len(job) <= _LONGEST_KEY:
        raise InvalidEvent(f"{job!r} is not the id of a job.")
    execution = data.get("execution")
    # Who waits for the answer of another job may never have started.
    needed = event_type in _NEEDS_EXECUTION and not (event_type == "waiting" and data.get("answer_of"))
    if execution is None and needed:
        raise InvalidEvent(f"An event {event_type!r} needs its execution.")
    if execution is not None and (not isinstance(execution, str) or not 0 < len(execution) <= 64):
        raise InvalidEvent(f"{execution!r} is not the id of an execution.")
    if event_type == "file":
        _check_file(data)
    if event_type == "finished" and data.get("state") not in _ENDS:
        raise InvalidEvent(f"A job does not finish as {data.get('state')!r}.")
    for key, kind in (("args", list), ("kwargs", dict)):
        if not isinstance(data.get(key, kind()), kind):
            raise InvalidEvent(f"{key} must be a JSON {'array' if kind is list else 'object'}.")


def _check_file(data: dict[str, Any]) -> None:
    try:
        uuid.UUID(data["file"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InvalidEvent(f"{data.get('file')!r} is not the id of a file.") from error
    size = data.get("size")
    if not isinstance(size, int) or not 0 <= size < 2**63:
        raise InvalidEvent(f"{size!r} is not the size of a file.")


def moment(text: Any) -> datetime | None:
    """Return an ISO 8601 time with its zone (UTC when it names none), None when `text` is no time."""
    try:
        value = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def result_of(event: Event) -> Any:
    """Return the result that the event carries as JSON text."""
    return result_of_text(event.data.get("result"))


def result_of_text(text: Any) -> Any:
    """Return the value of a result's JSON text, the text itself where it is none, None when there is no text."""
    if not isinstance(text, str):
        return None
    try:
        return _load(text)
    except InvalidEvent:
        return text


def _moment(at: Any) -> datetime:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise InvalidEvent(f"{at!r} is not a time in seconds since 1970.") from error


def _load(text: str) -> Any:
    try:
        value = _decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"The entry is not JSON: {error}") from error
    return _storable(value) if "\\u" in text or "\x00" in text else value


def _storable(value: Any) -> Any:
    """Replace the characters that PostgreSQL does not hold: NUL, and halves of surrogate pairs."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value


def state_of(event: Event) -> State:
    """Return the state in which the event leaves its execution."""
    if event.type == "finished":
        return State(event.data["state"])
    return State.QUEUED if event.type == "waiting" else State.RETRYING
