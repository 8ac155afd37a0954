"""Launches of tasks that cache their results: answered at once, waiting for a job that computes the same, or sent.

What no one was there to hand on is settled by `cache_settlement`.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from jobroom import redis
from jobroom.arguments import WrongArguments
from jobroom.cache import Answer, handoff, keeps_answers
from jobroom.cache import single_flight as flying
from jobroom.cache.single_flight import Verdict
from jobroom.jobs.calls import Call
from jobroom.jobs.models import Caching, Job

logger = logging.getLogger(__name__)


def check_caching(task: Any, caching: str) -> None:
    """Raise WrongArguments when a launch says how to deal with cached results, and there are none."""
    if caching not in Caching.values:
        raise WrongArguments({"caching": [f"Give one of {', '.join(filter(None, Caching.values))}, or nothing."]})
    if caching and not keeps_answers(task):
        raise WrongArguments({caching: [f"{task.name} keeps no answers (cache_for), so this has no meaning here."]})


def kept(call: Call, caching: str) -> Answer | None:
    """Return the answer that a launch gets at once; None also while Redis is away."""
    wanted = None if caching or not keeps_answers(call.task) else call.question
    if wanted is None:
        return None
    try:
        return flying.find(wanted)
    except (redis.Error, OSError) as error:
        logger.warning("Cannot look up a cached result of %s: %s", wanted.task, error)
        return None


def result_of(answer: Answer) -> Any:
    """Return the result as the database has it."""
    text = handoff.shown(answer.text)
    return None if text is None else json.loads(text, parse_constant=str)


def report_end(job: Job, answer: Answer) -> None:
    """Report that the job has ended with a kept answer."""
    try:
        handoff.report_end(job.pk, job.task, handoff.end_of(answer))
    except (redis.Error, OSError) as error:
        logger.warning("Job %s has its cached result, but could not publish that: %s", job.pk, error)


def joined(call: Call, job: Job, options: Mapping[str, Any]) -> bool:
    """Claim what the job asks before it is sent; return True when it need not be sent: it has its answer, or waits."""
    task = call.task
    if not keeps_answers(task) or job.run_after is not None or job.caching == Caching.NO_CACHE:
        return False
    wanted = call.question
    if wanted is None:
        return False
    kept_args, kept_kwargs = call.sealed
    entry = {
        "job": job.pk,
        "task": task.name,
        "args": list(kept_args),
        "kwargs": dict(kept_kwargs),
        "options": dict(options),
        "source": job.source,
        "plain": True,
    }
    try:
        return _follow(job, handoff.claim(wanted, job.pk, entry, job.caching))  # type: ignore[arg-type] # one of Mode
    except (redis.Error, OSError) as error:
        logger.warning("Job %s is published without a look at the result cache: %s", job.pk, error)
        return False


def _follow(job: Job, verdict: Verdict) -> bool:
    if verdict.answer is not None:
        handoff.report_end(job.pk, job.task, handoff.end_of(verdict.answer))
    elif verdict.kind == "join":
        handoff.wait(job.pk, verdict.leader)
    return verdict.kind in {"answer", "join"}
