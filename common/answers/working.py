"""What a worker does with a job of a task that keeps its answers, before and after it runs."""

import logging
from collections.abc import Callable
from typing import Any

from celery.exceptions import Ignore
from kombu.utils.json import dumps

from common import redis
from common.answers import flights, handing
from common.answers.flights import Answer, Mode, Verdict
from common.answers.questions import Question, question
from common.arguments import WrongArguments, schema_of

logger = logging.getLogger(__name__)


def mode_of(request: Any) -> Mode:
    """Return how the job deals with kept answers."""
    mode: Mode = (request.headers or {}).get(handing.HEADER) or ""
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
        logger.warning("Job %s is computed without a look at kept answers: %s", request.id, error)
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
        return flights.earlier(asked) if asked is not None else None
    except (redis.Error, OSError) as error:
        logger.warning("Job %s begins without an earlier answer: %s", request.id, error)
        return None


def _raise_failure(request: Any) -> None:
    told = (request.headers or {}).get(handing.FAILURE)
    if told:
        request.execution.answer = {"answer_of": told.get("answer_of", "")}
        raise handing.SameFailed(f"{told.get('error_type', '')}: {told.get('error', '')}")


def _asked(task: Any, args: Any, kwargs: Any) -> Question | None:
    try:
        return question(task, schema_of(task).bind(args, kwargs))
    except WrongArguments:
        return None  # running it says so


def _kept(task: Any, asked: Question, mode: Mode) -> Answer | None:
    """Return the kept answer, None when the job is to compute."""
    request = task.request
    verdict = flights.claim(asked, request.id, handing.entry_of_message(request), mode)
    if verdict.kind == "join":
        _wait(request, verdict)
    if verdict.new and not mode and (answer := flights.near(asked)) is not None:
        end = handing.end_of(answer)
        handing.give_all(asked.key, request.id, end, flights.conclude(asked.key, request.id, end))
        return answer
    return verdict.answer


def _wait(request: Any, verdict: Verdict) -> None:
    execution = request.execution
    execution.tell("waiting", request.id, execution=execution.id, answer_of=verdict.leader)
    execution.requeued = True
    raise Ignore(f"waits for job {verdict.leader}, which computes the same")


def _keep(request: Any, asked: Question, result: Any) -> None:
    """Keep the answer and give it to all who wait; what goes wrong is settled later, by the book."""
    execution = request.execution
    if execution.outcome is not None:
        return  # it was skipped: the text that it returned is no answer
    try:
        end = {"state": "succeeded", "result": dumps(result), "answer_of": request.id}
        waiting = flights.keep(asked, request.id, end, execution.files or [])
        handing.give_all(asked.key, request.id, end, waiting)
    except (TypeError, ValueError):
        return  # no JSON: the job itself fails with that
    except Exception:  # the boundary between a job's own end and what others make of it
        logger.exception("The answer of job %s could not be handed on; the book will", request.id)
