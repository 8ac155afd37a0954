"""Counts how often a job's message is redelivered, so that a job which kills its workers, or is rejected, does not run for ever."""

import logging
from contextlib import suppress
from typing import Any

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback  # type: ignore[attr-defined]  # newer than the stubs
from celery.exceptions import InvalidTaskError, Reject, WorkerLostError
from celery.worker import state
from celery.worker.request import Request as CeleryRequest
from kombu.exceptions import ContentDisallowed, DecodeError

from jobroom import events, redis, safe_text
from jobroom.celery import message_check, rejection, tracked
from jobroom.conf import settings
from jobroom.events import cancellation, heartbeat
from jobroom.exceptions import WorkerLost
from jobroom.signals import run_failed

logger = logging.getLogger(__name__)

# Seconds for which the count of a job is remembered after its last loss.
REMEMBERED = 7 * 24 * 3600
_LATE = "Declare the task with acks_late=True, or have it raise self.retry(countdown=…)."
_LATER = "A task that has to wait raises self.retry(countdown=…)."


def _key(job_id: str) -> str:
    return redis.key("losses", job_id)


def _rejected_key(job_id: str) -> str:
    return redis.key("rejected", job_id)


def note(job_id: str) -> int:
    """Count one more loss of the job; return how many there are now."""
    return _count(_key(job_id))


def _count(key: str) -> int:
    with redis.client().pipeline() as pipe:
        pipe.incr(key)
        pipe.expire(key, REMEMBERED)
        return int(pipe.execute()[0])


def exhausted(losses: int) -> bool:
    """Return whether a job with so many losses is not run again."""
    return losses >= int(settings.MAX_LOST)


def describe(losses: int, last: str) -> str:
    """Return the sentence for a job that is given up; `last` says what happened to its last process."""
    return f"{last} That was loss number {losses}, so the job is not run again (MAX_LOST = {settings.MAX_LOST})."


class Request(CeleryRequest):
    """A message in a worker, as Celery has it, but it fails when its process was killed too often, and may be wanted again."""

    def __init__(self, message: Any, *args: Any, **kwargs: Any) -> None:
        """Read the message; raise InvalidTaskError, whatever is wrong with it.

        The heartbeat says that it is here for as long as it is not acknowledged.
        """
        try:
            super().__init__(message, *args, **kwargs)
            message_check.check_call(*getattr(self, "_payload", (self.args, self.kwargs, None)))
        except (InvalidTaskError, ContentDisallowed, DecodeError):
            raise
        except Exception as error:
            said = f"{safe_text.error_type(error)}: {safe_text.error_text(error)}"
            raise InvalidTaskError(f"It cannot be read ({said}).") from error
        heartbeat.received.add(self)

    def revoked(self) -> bool:
        """Return whether the job is not to start; one that is wanted again is let pass."""
        if self.id in state.revoked and self._is_wanted():
            state.revoked.discard(self.id)
        return bool(super().revoked())

    def _is_wanted(self) -> bool:
        try:
            return cancellation.is_wanted(self.id)
        except redis.Error as error:
            logger.warning("Cannot find out whether job %s may run again: %s", self.id, error)
            return False

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Deal with the end of this request alone.

        The pool reports that a process is gone up to ten seconds late. Celery then strikes the job's id from its table,
        although the job may have been sent again and run as another request by then: no one could end that one any
        more, and it would look as if no worker held it.
        """
        successor = state.requests.get(self.id)
        try:
            self._end(exc_info, send_failed_event, return_ok)
        except (redis.Error, OSError):
            raise
        except Exception as error:  # the boundary: what the message says may be of no use to those who hear of its end
            logger.exception("The end of job %s could not be reported", self.id)
            self._end_plainly(exc_info.exception, error)
        if successor is not None and successor is not self:
            state.requests.setdefault(self.id, successor)

    def _end_plainly(self, failure: BaseException, error: BaseException) -> None:
        """Record the failure with what is known, and let go of the message."""
        said = safe_text.error_text(getattr(failure, "exc", failure))
        reason = f"{said} (Its end could not be reported: {safe_text.error_type(error)}: {safe_text.error_text(error)})"
        rejection.refuse(rejection.read(self.message), kind="invalid", reason=reason)
        self.reject(requeue=False)

    def _end(self, exc_info: Any, send_failed_event: bool, return_ok: bool) -> None:
        """Let Celery put the message back, or make the loss a final failure."""
        if _wants_back(exc_info.exception):
            self._put_back(getattr(exc_info.exception, "exc", exc_info.exception))
            return
        if not self._goes_back(exc_info.exception):
            super().on_failure(exc_info, send_failed_event, return_ok)
            return
        losses = self._note(_key(self.id))
        if exhausted(losses):
            exc_info = _given_up(losses, str(exc_info.exception))
            super().on_failure(exc_info, send_failed_event, return_ok)
            return
        super().on_failure(exc_info, send_failed_event, return_ok)
        if tracked.is_tracked(self.task):
            error = f"The process of the job was killed ({losses} of {settings.MAX_LOST}); it is run again."
            self._report_again(error, WorkerLost.__name__)

    def _put_back(self, rejected: Reject) -> None:
        """Put back the message of a job that raised Reject(requeue=True), or end the job when it cannot, or must not, go back."""
        state.task_ready(self)
        why = f": {safe_text.text_of(rejected.reason)}" if rejected.reason else ""  # type: ignore[attr-defined]
        said = f"It raised Reject(requeue=True){why}. "
        if self.acknowledged:
            self._refuse(f"{said}Its message cannot go back, because it was acknowledged before the job ran. {_LATE}")
            return
        times = self._note(_rejected_key(self.id))
        if times > settings.MAX_REJECTED:
            times_said = f"Its message went back {settings.MAX_REJECTED} times (MAX_REJECTED), so it is not run again. "
            self._refuse(f"{said}{times_said}{_LATER}")
            return
        if tracked.is_tracked(self.task):
            error = f"{said}Its message is back in its queue ({times} of {settings.MAX_REJECTED})."
            self._report_again(error, events.MESSAGE_REJECTED)
        self.reject(requeue=True)

    def _refuse(self, reason: str) -> None:
        """End the job as failed, and its message as a dead letter; the next life of the job is counted from the beginning."""
        rejection.refuse(rejection.read(self.message), kind="rejected", reason=reason)
        refused = rejection.MessageRefused(reason)
        run_failed.send(sender=type(self.task), task=self.task, task_id=self.id, exception=refused, einfo=None)
        self.reject(requeue=False)
        with suppress(redis.Error, OSError):
            redis.client().delete(_rejected_key(self.id))

    def _report_again(self, error: str, error_type: str) -> None:
        retries = self.request_dict.get("retries") or 0
        events.emit(
            "retrying", self.id, execution=None, retries=retries, eta=None,
            error=error, error_type=error_type, traceback="",
        )  # fmt: skip

    def _goes_back(self, error: BaseException) -> bool:
        lost = isinstance(getattr(error, "exc", error), WorkerLostError | SystemExit)
        return bool(
            lost
            and not getattr(self, "_already_revoked", self.id in state.revoked)
            and self.task.acks_late
            and self.task.reject_on_worker_lost
            and not state.should_terminate
        )

    def _note(self, key: str) -> int:
        try:
            return _count(key)
        except redis.Error as error:
            logger.warning("That the message of job %s goes back could not be counted: %s", self.id, error)
            return 1


def _wants_back(error: BaseException) -> bool:
    """Return whether a task raised Reject(requeue=True)."""
    raised = error.exc if isinstance(error, ExceptionWithTraceback) else error
    return isinstance(raised, Reject) and bool(raised.requeue)  # type: ignore[attr-defined]


def _given_up(losses: int, last: str) -> Any:
    try:
        raise WorkerLost(describe(losses, last))  # noqa: TRY301 — only raised errors have a traceback to carry
    except WorkerLost:
        return ExceptionInfo()
