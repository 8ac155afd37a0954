"""The worker's side of `batch=`: many calls of a task are run as one.

A worker that receives such a job asks one script. The job is kept among the messages for later, and its call beside it. The one
with which the batch is full, or the first one when its time has come, starts: it runs the function once for all of them.
Then each of the others starts with its answer, returns or raises that, and ends as any job does, with everything that hangs
on it. So each has its own result and no job is ever without a message. Keys:

    batch:<group>        hash: when its time has come, and the first job of the line
    batch:<group>:line   list of jobs that wait; `batch:waits` is a hash job → group of all, `batch:groups` the groups
    batch:calls          hash: job → its arguments as JSON, sealed as in the message
    batch-run:<job>      list of the jobs that this one runs, itself the first; `batch:running` is the set of all such jobs
    batch:of             hash: job → the job that runs it
    batched:<job>        its answer (JSON): by, state, and value with shared, or error

When the job that runs a batch fails, is cancelled or lost, so do all others; what it retries they wait for. One that ended before it
began leaves them to the next batch.
"""

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

from celery import signals
from celery.exceptions import Ignore, Retry
from kombu.utils.json import dumps, loads

from jobroom import redis, safe_text
from jobroom.arguments import encryption, redaction, schema_of
from jobroom.arguments.redaction import hide_in_text
from jobroom.celery import delayed, unavailable_services
from jobroom.conf import settings
from jobroom.events.cancellation import JobCancelled
from jobroom.exceptions import JobFailed
from jobroom.locks.batch import Batch, Batched, together
from jobroom.lua_scripts import source

logger = logging.getLogger(__name__)

_GATHER, _HAND_OUT, _OVERDUE = (source("jobroom.celery", name) for name in ("gather", "hand_out", "overdue"))
# Seconds for which an answer, and a line that no one takes up, are remembered.
REMEMBERED = 24 * 3600
LINE = 30 * 24 * 3600


class BatchFailed(JobFailed):
    """The job that ran the batch failed."""


def gather(found: Batched, job: str, text: str, key: str, call: Any) -> bool:
    """Keep a job until its batch runs; return False where it may start: it runs the batch, or has its answer."""
    said = found.declared
    values = [
        settings.REDIS_PREFIX, f"{found.name}:{key}" if key else found.name, job, text, dumps(list(call)), said.most, said.seconds,
        delayed.PARKED, settings.SENT_BEFORE, LINE,
    ]  # fmt: skip
    return not redis.evaluate(redis.script(_GATHER), [], values)


# In the process that runs the job --------------------------------------------------------------------------------------


def answer_of(job: str) -> dict[str, Any] | None:
    """Return the answer that another job has for this one; raises the errors of Redis."""
    text: Any = redis.client().get(redis.key("batched", job))
    return json.loads(text) if text else None


def given(task: Any, answer: dict[str, Any]) -> Any:
    """Return the value of an answer, or raise what its batch ended with."""
    execution, state = task.request.execution, answer["state"]
    execution.answer = {"answer_of": answer["by"], "batch": True}
    if state == "cancelled":
        raise JobCancelled(f"Job {answer['by']}, which ran its batch, was cancelled.")
    if "value" not in answer:
        became = "was lost" if state == "lost" else "failed"
        raise BatchFailed(f"Job {answer['by']}, which ran its batch, {became}: {answer['error']}")
    if state == "skipped":
        execution.outcome = state
    if answer["shared"]:
        task.log("info", f"Job {answer['by']} ran its batch, and all calls of it share one result.")
    return encryption.opened(loads(answer["value"]))


def run(task: Any, args: Any, kwargs: Any, go: Callable[[], Any]) -> Any:
    """Run the job, and with it the others of its batch; return its own result. Raises what the run raises."""
    request = task.request
    jobs, texts = unavailable_services.ask_redis(task, lambda: _calls_of(request.id))
    calls = [(args, kwargs), *(encryption.opened(loads(text)) for text in texts)]
    if len(calls) > 1:
        task.log("info", f"Runs a batch of {len(calls)} calls.")
    names = [f"{request.id}/{number}" for number in range(1, len(calls))]
    try:
        # What is secret in the call of another job is secret in what this one says, too.
        for name, call in zip(names, calls[1:], strict=True):
            redaction.begin(name, task.run, *call)
        received = unavailable_services.ask_database(task, lambda: [schema_of(task).received(*call) for call in calls])
        results, shared = _results(together(task.run, received, go), len(calls))
        state = request.execution.outcome or "succeeded"
        if shared and len(calls) > 1:
            task.log("info", "All calls of the batch share one result: it was no list with one for each of them.")
        answers = [_answer(request.id, state, value, shared) for value in results[1:]]
    finally:
        for name in names:
            redaction.end(name)
    if jobs:
        unavailable_services.ask_redis(task, lambda: _hand_out(request.id, answers))
    return results[0]


def _calls_of(job: str) -> tuple[list[str], list[str]]:
    """Return the jobs of the batch, itself the first, and what the others were called with; nothing where it runs alone."""
    jobs: Any = redis.client().lrange(redis.key("batch-run", job), 0, -1)
    texts: Any = redis.client().hmget(redis.key("batch", "calls"), jobs[1:]) if len(jobs) > 1 else []
    return [str(one) for one in jobs], [str(text) for text in texts]


def _results(result: Any, number: int) -> tuple[list[Any], bool]:
    """Return the result of each call, and whether they share one: it was no list with one for each of them."""
    if isinstance(result, list | tuple) and len(result) == number:
        return list(result), False
    return [result] * number, True


def _answer(by: str, state: str, value: Any, shared: bool) -> str:
    return json.dumps({"by": by, "state": state, "value": dumps(redaction.seal_result(value)), "shared": shared})


def _hand_out(job: str, answers: list[str]) -> int:
    values: list[Any] = [settings.REDIS_PREFIX, job, REMEMBERED, *answers]
    return int(redis.script(_HAND_OUT)([], values, client=redis.client()))


def end_with(
    jobs: Iterable[tuple[str, str]], error: str = "", has_begun: Callable[[str], bool] = lambda job: True
) -> None:
    """End the calls whose batch was run by one of these jobs (job, state) as that one did; raises the errors of Redis.

    Where that one never began (it was cancelled, or its message was lost before) the others have not run either, and wait for
    another batch.
    """
    running: Any = redis.client().smembers(redis.key("batch", "running"))
    for job, state in jobs:
        if job in running and state != "succeeded":
            if not has_begun(job):
                _hand_out(job, [])
                continue
            said = error or "its page says why."
            _hand_out(job, [json.dumps({"by": job, "state": state, "error": said})])


def _failed(sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
    if not isinstance(getattr(sender, "batch", None), Batch) or isinstance(exception, BatchFailed | Retry | Ignore):
        return
    try:
        end_with([(task_id, "failed")], hide_in_text(safe_text.error_text(exception))[:1000])
    except (redis.Error, OSError) as error:
        logger.warning("The batch of job %s is ended by the recorder: %s", task_id, error)


def connect() -> None:
    """Connect to the failure of runs; twice is the same as once."""
    signals.task_failure.connect(_failed, dispatch_uid="jobroom.celery.batches")


# Looked at and mended ---------------------------------------------------------------------------------------------------


def begin_overdue() -> None:
    """Let batches begin whose time has come, and whose first call was cancelled meanwhile; raises the errors of Redis."""
    redis.script(_OVERDUE)([], [settings.REDIS_PREFIX], client=redis.client())


def sentences(jobs: list[str]) -> dict[str, str]:
    """Return for those of the jobs that wait for their batch why; raises the errors of Redis."""
    with redis.client().pipeline(transaction=False) as both:
        both.hmget(redis.key("batch", "of"), jobs)
        both.hmget(redis.key("batch", "waits"), jobs)
        leaders, groups = both.execute()
    found = {
        job: f"its batch is run by job {leader}, and it ends with it"
        for job, leader in zip(jobs, leaders, strict=True)
        if leader
    }
    waits = {job: group for job, group in zip(jobs, groups, strict=True) if group and job not in found}
    with redis.client().pipeline(transaction=False) as lengths:
        for group in waits.values():
            lengths.llen(redis.key("batch", group) + ":line")
        numbers: Any = lengths.execute()
    for job, number in zip(waits, numbers, strict=True):
        others = f"with {number - 1:,} other{'' if number == 2 else 's'}" if number > 1 else "alone so far"
        found[job] = f"it waits for its batch, {others}"
    return found
