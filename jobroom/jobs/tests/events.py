"""Makes events as workers would, for tests."""

import json
from typing import Any

from jobroom.events.consumer import Entry
from jobroom.jobs.models import Attempt, Job
from jobroom.jobs.recorder import writer
from jobroom.jobs.recorder.parse import Event, parse

BEGINNING = 1_800_000_000  # seconds since 1970: the time of position 0


def event(position: int, event_type: str, job: str | None = "job", **data: Any) -> Event:
    """Return the event at that place of the stream, one second after the one before it."""
    return parse(entry(position, event_type, job, **data))


def entry(position: int, event_type: str, job: str | None = "job", **data: Any) -> Entry:
    """Return the same as an entry of the stream."""
    body = {"type": event_type, "job": job, "at": BEGINNING + position, **data}
    return Entry(f"{(BEGINNING + position) * 1000}-0", json.dumps(body))


def queued(position: int, **data: Any) -> Event:
    """Return the event of a launch."""
    return event(position, "queued", **{"task": "add", "args": [1, 2], "kwargs": {}, "queue": "default", **data})


def started(position: int, execution: str = "a", **data: Any) -> Event:
    """Return the event of a start."""
    return event(position, "started", **{"task": "add", "execution": execution, "worker": "default@h", **data})


def finished(position: int, execution: str | None = "a", state: str = "succeeded", **data: Any) -> Event:
    """Return the event of an end."""
    return event(position, "finished", **{"execution": execution, "state": state, **data})


def retrying(position: int, execution: str = "a", **data: Any) -> Event:
    """Return the event of an attempt that failed and will be followed by another."""
    return event(position, "retrying", **{"execution": execution, "error": "no", "error_type": "ValueError", **data})


def record(*events: Event) -> Job:
    """Write the events as one batch; return the job of the last."""
    writer.write(events)
    return Job.objects.get(pk=events[-1].job)


def attempts(job: Job) -> list[tuple[int, str, str]]:
    """Return number, execution and state of each attempt."""
    return list(Attempt.objects.filter(job=job).order_by("number").values_list("number", "execution", "state"))
