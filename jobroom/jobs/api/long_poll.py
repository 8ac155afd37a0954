"""A launch that waits for its result: the request sleeps in the event loop, and holds no thread and no connection."""

import dataclasses
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from rest_framework.utils.encoders import JSONEncoder

from jobroom.jobs import completion, current_state
from jobroom.jobs.models import Job
from jobroom.jobs.serializers import Launched, detail_of
from jobroom.users import User
from jobroom.web.handler import answer_later


@dataclasses.dataclass(frozen=True)
class Wait:
    """What an answer waits for: the end of a job, for so many seconds, on behalf of a person."""

    job: Job
    seconds: float
    user: User

    def answer(self, request: HttpRequest, now: HttpResponseBase) -> HttpResponseBase:
        """Return the answer to give: `now`, in place of which the server gives another later, or that one at once."""
        # Django's test client and WSGI have nothing but the thread.
        return now if answer_later(request, now, self.ended) else async_to_sync(self.ended)()

    async def ended(self) -> HttpResponseBase:
        """Return 200 with the job when it has ended, 202 when the time is over."""
        data, done = await completion.awaited(self.job, self.seconds, self._look)
        return JsonResponse(data, encoder=JSONEncoder, status=200 if done else 202)

    def _look(self) -> tuple[tuple[dict[str, Any], bool], bool]:
        """Return the job as the answer shows it, and whether it has ended."""
        now = current_state.job(self.job.pk, since=self.job.created_at.timestamp())
        if now is None:
            return ({"id": self.job.pk}, True), True  # deleted meanwhile
        if now.is_finished:
            return (detail_of(now, self.user), True), True
        return (dict(Launched(now).data), False), False
