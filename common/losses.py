"""Counts how often the process of a job was killed, so that a job which kills its workers is not run for ever."""

import logging
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.exceptions import WorkerLostError
from celery.worker import state
from celery.worker.request import Request as CeleryRequest

from common import cancelling, events, redis
from common.conf import settings
from common.exceptions import WorkerLost

logger = logging.getLogger(__name__)

# Seconds for which the count of a job is remembered after its last loss.
REMEMBERED = 7 * 24 * 3600


def _key(job_id: str) -> str:
    return redis.key("losses", job_id)


def note(job_id: str) -> int:
    """Count one more loss of the job; return how many there are now."""
    with redis.client().pipeline() as pipe:
        pipe.incr(_key(job_id))
        pipe.expire(_key(job_id), REMEMBERED)
        return int(pipe.execute()[0])


def exhausted(losses: int) -> bool:
    """Return whether a job with so many losses is not run again."""
    return losses >= int(settings.MAX_LOST)


def describe(losses: int, last: str) -> str:
    """Return the sentence for a job that is given up; `last` says what happened to its last process."""
    return f"{last} That was loss number {losses}, so the job is not run again (COMMON_MAX_LOST = {settings.MAX_LOST})."


class Request(CeleryRequest):
    """A message in a worker, as Celery has it, but it fails when its process was killed too often, and may be wanted again."""

    def revoked(self) -> bool:
        """Return whether the job is not to start; one that is wanted again is let pass."""
        if self.id in state.revoked and self._is_wanted():
            state.revoked.discard(self.id)
        return bool(super().revoked())

    def _is_wanted(self) -> bool:
        try:
            return cancelling.is_wanted(self.id)
        except redis.Error as error:
            logger.warning("Nobody can tell whether job %s is wanted again: %s", self.id, error)
            return False

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Deal with the end of this request alone.

        The pool tells that a process is gone up to ten seconds late. Celery then strikes the job's id from its table,
        although the job may have been sent again and run as another request by then: nobody could end that one any
        more, and it would look as if no worker held it.
        """
        successor = state.requests.get(self.id)
        self._end(exc_info, send_failed_event, return_ok)
        if successor is not None and successor is not self:
            state.requests.setdefault(self.id, successor)

    def _end(self, exc_info: Any, send_failed_event: bool, return_ok: bool) -> None:
        """Let Celery put the message back, or make the loss a final failure."""
        if not self._goes_back(exc_info.exception):
            super().on_failure(exc_info, send_failed_event, return_ok)
            return
        losses = self._note()
        if exhausted(losses):
            exc_info = _given_up(losses, str(exc_info.exception))
            super().on_failure(exc_info, send_failed_event, return_ok)
            return
        super().on_failure(exc_info, send_failed_event, return_ok)
        if getattr(self.task, "tracked", False):
            error = f"The process of the job was killed ({losses} of {settings.MAX_LOST}); it is run again."
            retries = self.request_dict.get("retries") or 0
            events.emit(
                "retrying", self.id, execution=None, retries=retries, eta=None,
                error=error, error_type="WorkerLost", traceback="",
            )  # fmt: skip

    def _goes_back(self, error: BaseException) -> bool:
        lost = isinstance(getattr(error, "exc", error), WorkerLostError | SystemExit)
        return bool(
            lost
            and not self._already_revoked  # type: ignore[attr-defined]
            and self.task.acks_late
            and self.task.reject_on_worker_lost
            and not state.should_terminate
        )

    def _note(self) -> int:
        try:
            return note(self.id)
        except redis.Error as error:
            logger.warning("The loss of job %s could not be counted: %s", self.id, error)
            return 1


def _given_up(losses: int, last: str) -> Any:
    try:
        raise WorkerLost(describe(losses, last))  # noqa: TRY301 — only raised errors have a traceback to carry
    except WorkerLost:
        return ExceptionInfo()
