"""A launch that waits for its result: the request sleeps in the event loop, and holds no thread and no connection."""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from rest_framework.utils.encoders import JSONEncoder
from rest_framework.views import APIView

from jobs import reading
from jobs.serializers import JobDetail, Launched
from live.waiting import bell

# Seconds after which it looks anyway: what is told while Redis restarts is not heard.
AT_LEAST = 5.0
_QUIET = frozenset({"progress", "log", "file"})


@dataclasses.dataclass(frozen=True)
class Wait:
    """What an answer waits for: the end of a job, for so many seconds, on behalf of a person."""

    job_id: str
    seconds: float
    user: User


def patient(view: type[APIView]) -> Callable[..., Any]:
    """Return `view` as an asynchronous function; an answer that says `wait` is waited for."""
    plain = sync_to_async(view.as_view())

    async def waiting(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        answer: HttpResponseBase = await plain(request, **kwargs)
        wait = getattr(answer, "wait", None)
        return answer if wait is None else await _ended(wait)

    # What Django (CSRF is checked with the session, by the view itself) and the API's description look for.
    waiting.csrf_exempt = True  # type: ignore[attr-defined]
    waiting.cls, waiting.initkwargs = view, {}  # type: ignore[attr-defined]
    return waiting


async def _ended(wait: Wait) -> HttpResponseBase:
    loop = asyncio.get_running_loop()
    end = loop.time() + wait.seconds
    async with bell(f"job:{wait.job_id}", quiet=_QUIET) as rings:
        while True:
            data, done = await _look(wait)
            left = end - loop.time()
            if done or left <= 0:
                return JsonResponse(data, encoder=JSONEncoder, status=200 if done else 202)
            await rings.wait(min(left, AT_LEAST))


@sync_to_async
def _look(wait: Wait) -> tuple[dict[str, Any], bool]:
    """Return the job as the answer shows it, and whether it has ended."""
    try:
        job = reading.job(wait.job_id)
        if job is None:
            return {"id": wait.job_id}, True  # deleted meanwhile
        if job.is_finished:
            return dict(JobDetail(job, context={"user": wait.user}).data), True
        return dict(Launched(job).data), False
    finally:
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()
