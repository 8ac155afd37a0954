"""What a worker does before and after a job whose task caches its results."""

import logging
from collections.abc import Callable
from typing import Any

from celery.exceptions import Ignore
from kombu.utils.json import dumps

from jobroom import redis
from jobroom.arguments import WrongArguments, schema_of
from jobroom.arguments.redaction import seal_result
from jobroom.cache import handoff, single_flight
from jobroom.cache.identity import Question, question
from jobroom.cache.single_flight import Answer, Mode, Verdict

logger = logging.getLogger(__name__)


def mode_of(request: Any) -> Mode:
    """Return how the job deals with cached results."""
    mode: Mode = (request.headers or {}).get(handoff.HEADER) or ""
    return mode


def once(task: Any, args: Any, kwargs: Any, run: Callable[[], Any]) -> Any:
    """Return the answer to what the running job asks: a kept one, or that of `run`, which is kept then.

    Raises Ignore when another job computes the same: that one will end this one, which holds no process meanwhile.
    A Redis that does not answer is no reason not to run.
    """
    request = task.request
    _raise_failure(request)
    mode = mode_of(request)
    asked = None if mode == "no_cache" else _asked(task, args, kwargs)
    if asked is None:
        return run()
    try:
        answer = _kept(task, asked, mode)
    except (redis.Error, OSError) as error:
        logger.warning("Job %s is computed without a look at cached results: %s", request.id, error)
        return run()
    if answer is not None:
        request.execution.answer = {"answer_of": answer.job, "likeness": answer.likeness}
        return answer.result
    result = run()
    _keep(request, asked, result)
    return result


def earlier_answer(task: Any) -> Answer | None:
    """Return what `BaseTask.earlier_answer` promises."""
    request = task.request
    if getattr(request, "execution", None) is None or mode_of(request) != "recalculate":
        return None
    asked = _asked(task, request.args, request.kwargs)
    try:
        return single_flight.earlier(asked) if asked is not None else None
    except (redis.Error, OSError) as error:
        logger.warning("Job %s starts without an earlier result: %s", request.id, error)
        return None


def _raise_failure(request: Any) -> None:
    failure = (request.headers or {}).get(handoff.FAILURE)
    if failure:
        request.execution.answer = {"answer_of": failure.get("answer_of", "")}
        raise handoff.same_failed(failure)


def _asked(task: Any, args: Any, kwargs: Any) -> Question | None:
    try:
        return question(task, schema_of(task).bind(args, kwargs))
    except WrongArguments:
        return None  # running it says so


def _kept(task: Any, asked: Question, mode: Mode) -> Answer | None:
    """Return the kept answer, None when the job is to compute."""
    request = task.request
    verdict = handoff.claim(asked, request.id, handoff.entry_of_message(request), mode)
    if verdict.kind == "join":
        _wait(request, verdict)
    if verdict.new and not mode and (answer := single_flight.near(asked)) is not None:
        end = handoff.end_of(answer)
        handoff.give_all(asked.key, request.id, end, single_flight.conclude(asked.key, request.id, end))
        return answer
    return verdict.answer


def _wait(request: Any, verdict: Verdict) -> None:
    execution = request.execution
    execution.report("waiting", request.id, execution=execution.id, answer_of=verdict.leader)
    execution.requeued = True
    raise Ignore(f"waits for job {verdict.leader}, which computes the same")


def _keep(request: Any, asked: Question, result: Any) -> None:
    """Keep the answer and give it to all who wait; what goes wrong is settled later, by the database."""
    execution = request.execution
    if execution.outcome is not None:
        return  # it was skipped: the text that it returned is no answer
    try:
        end = {"state": "succeeded", "result": dumps(seal_result(result)), "answer_of": request.id}
        waiting = single_flight.keep(asked, request.id, end, execution.files or [])
        handoff.give_all(asked.key, request.id, end, waiting)
    except (TypeError, ValueError):
        return  # no JSON: the job itself fails with that
    except Exception:  # the boundary between a job's own end and what others make of it
        logger.exception("The result of job %s could not be handed on; housekeeping will", request.id)
