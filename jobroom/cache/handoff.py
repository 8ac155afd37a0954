"""Ends the jobs that wait for a cached result, or sends them when they have to compute after all.

An entry is what is known of a waiting job: `job`, `task`, `args`, `kwargs`, `options` (of `apply_async`), `source`, and
`plain`: nothing hangs on its message, so it can be ended without one. A job with more to it (a chain, a chord, links, a
header of a workflow) is sent, finds the answer in its worker, and ends there as any other.

Everything here may be done twice.
"""

import logging
from typing import Any

from celery import current_app, states
from kombu.utils.json import dumps, loads

from jobroom import events, truncation
from jobroom.arguments.redaction import hide_in_json, seal_arguments
from jobroom.cache import single_flight
from jobroom.cache.identity import Question
from jobroom.cache.single_flight import Answer, End, Entry, Mode, Verdict
from jobroom.celery.tracker import ASK, DISPATCH, source
from jobroom.conf import settings
from jobroom.current_task import get_current_task
from jobroom.exceptions import JobFailed
from jobroom.locks.requeue import WAITS

logger = logging.getLogger(__name__)

# Header of a message: how its job deals with cached results, one of `single_flight.Mode`.
HEADER = "caching"
# Header of a message that brings the failure of the job that computed the same.
FAILURE = "answer_failed"
# Headers that every message may have, and that nothing else hangs on.
_ORDINARY = frozenset(
    {"tracked", "periodic_task_name", "owner", "person", *WAITS, "parent_id", DISPATCH, HEADER, FAILURE, ASK}
)


class SameFailed(JobFailed):
    """Another job, which computed the same, failed."""


def same_failed(failure: dict[str, Any]) -> SameFailed:
    """Return the error of a job whose message brought this failure of another one."""
    error = SameFailed(f"{failure.get('error_type', '')}: {failure.get('error', '')}")
    names = failure.get("error_bases")
    error.stands_for = tuple(map(str, names)) if isinstance(names, list) else ()
    return error


def entry_of_message(request: Any) -> Entry:
    """Return the entry of a job whose message a worker has received."""
    task: Any = get_current_task()
    headers = {**(request.headers or {}), "parent_id": request.parent_id}
    signature = task.signature_from_request(request, retries=request.retries or 0, headers=headers)
    more = (request.callbacks, request.errbacks, request.chain, request.chord, request.group)
    args, kwargs = seal_arguments(task.run, signature.args, signature.kwargs)
    return {
        "job": request.id,
        "task": task.name,
        "args": list(args),
        "kwargs": dict(kwargs),
        "options": {key: value for key, value in signature.options.items() if value is not None},
        "source": None,
        "plain": not any(more) and headers.keys() <= _ORDINARY,
    }


def send(entry: Entry, **headers: Any) -> None:
    """Send the message of a job that waited; raise OperationalError when the broker is away."""
    task = current_app.tasks.get(entry["task"])
    options = dict(entry["options"])
    # Who dies here does it again: the second message must not start the job twice.
    options["headers"] = {DISPATCH: "answer", **(options.get("headers") or {}), **headers}
    token = source.set(entry["source"])
    try:
        if task is not None:
            task.apply_async(entry["args"], entry["kwargs"], add_to_parent=False, **options)
        else:  # only workers know it
            current_app.send_task(entry["task"], entry["args"], entry["kwargs"], add_to_parent=False, **options)
    finally:
        source.reset(token)


def give(entry: Entry, end: End) -> None:
    """End one job as the one did that computed the same."""
    if entry["plain"]:
        report_end(entry["job"], entry["task"], end)
    elif end["state"] == "failed":
        bases = {"error_bases": end["error_bases"]} if end.get("error_bases") else {}
        send(entry, **{FAILURE: {key: end.get(key, "") for key in ("error", "error_type", "answer_of")} | bases})
    else:
        send(entry)


def report_end(job: str, task_name: str, end: End) -> None:
    """Keep the result where Celery looks for it, and report the end of the job."""
    task = current_app.tasks.get(task_name)
    result: Any
    state: str
    if end["state"] == "succeeded":
        result, state = loads(end["result"]), states.SUCCESS
        data = {"result": shown(end["result"])}
    else:
        result, state = SameFailed(end["error"]), states.FAILURE
        data = {key: end.get(key, "") for key in ("error", "error_type", "traceback")}
    event = {
        "state": end["state"],
        "execution": None,
        "answer_of": end["answer_of"],
        "likeness": end.get("likeness"),
        **data,
    }
    backend: Any = current_app.backend
    if task is not None and task.ignore_result:
        events.emit("finished", job, **event)
    elif not backend.kept_with_end(job, result, state, event):
        backend.store_result(job, result, state)
        events.emit("finished", job, **event)


def shown(text: str) -> str | None:
    """Return a result, as JSON text, as the database has it: nothing for none, no secrets, and cut where it is very long."""
    limit = settings.RESULT_LIMIT
    if text == "null":
        return None
    text = hide_in_json(text)
    return text if len(text) <= limit else dumps(truncation.shorten(text, limit))


def end_of(answer: Answer) -> End:
    """Return the end of a job that gets a kept answer."""
    return {"state": "succeeded", "result": answer.text, "answer_of": answer.job, "likeness": answer.likeness}


def give_all(question: str, job: str, end: End, entries: list[Entry]) -> int:
    """End all who wait for the job, also those who join meanwhile; return how many."""
    count = 0
    while entries:
        for entry in entries:
            give(entry, end)
        count += len(entries)
        entries = single_flight.done(question, job, [entry["job"] for entry in entries])
    return count


def claim(asked: Question, job: str, entry: Entry, mode: Mode = "") -> Verdict:
    """Do what `single_flight.claim` does, after the job has left what it asked before, if it did."""
    verdict = single_flight.claim(asked, job, entry, mode)
    while verdict.kind == "elsewhere":
        leave(verdict.elsewhere, job)
        verdict = single_flight.claim(asked, job, entry, mode)
    return verdict


def leave(question: str, job: str) -> Entry | None:
    """Take a job out of a flight, and send the next one if it led; return that one's entry."""
    entry, others = single_flight.leave(question, job)
    if entry is None:
        return None
    logger.warning("Job %s computes in place of job %s", entry["job"], job)
    send(entry)
    for other in others:
        wait(other, entry["job"])
    return entry


def wait(job: str, leader: str) -> None:
    """Report that the job, which was not sent, waits for another one, which computes the same."""
    events.emit("waiting", job, execution=None, answer_of=leader)
