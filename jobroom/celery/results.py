"""Celery's Redis result backend, with fewer round trips for a job that succeeded."""

import functools
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import current_app, states
from celery.backends.base import DisabledBackend
from celery.backends.redis import RedisBackend
from celery.result import AsyncResult
from kombu.utils.encoding import bytes_to_str

from jobroom import events
from jobroom.arguments import encryption, redaction
from jobroom.celery import tracker
from jobroom.conf import settings
from jobroom.current_task import get_current_task

# Characters of the longest text that Redis is given; it keeps no more bytes.
LARGEST = 512 * 1024 * 1024
# Seconds by which the clocks of two machines may differ.
CLOCKS = 60.0


def kept_result(job_id: str) -> AsyncResult[Any] | None:
    """Return what Celery keeps of a job's result; None in a project without a result backend, which cannot be asked."""
    return None if isinstance(current_app.backend, DisabledBackend) else current_app.AsyncResult(job_id)


def seconds_kept() -> int:
    """Return for how many seconds Celery keeps results: its own default is a `timedelta`; a day where they are kept for ever."""
    expires = current_app.conf.result_expires
    return int(expires.total_seconds() if isinstance(expires, timedelta) else expires or 0) or 86400


class ResultBackend(RedisBackend):
    """Keeps results as Celery does, and reads before it writes only where that changes anything.

    Celery looks first whether a success is stored already, so that the failure of a job that was delivered twice does
    not replace it. A success may be written without looking: the later one is the one that someone waits for.

    The success of a tracked job goes out together with the event that reports its end, where the Redis is the same.
    """

    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, store_result: bool = True, state: str = states.SUCCESS
    ) -> None:
        """Keep the result of a job that succeeded."""
        execution = tracker.execution_of(request)
        if request is not None and redaction.returns_secret(getattr(get_current_task(), "run", None)):
            redaction.learn(task_id, result)
        if store_result and execution is not None and not execution.is_part:
            store_result = not self._kept_with_end(task_id, result, request, state)
        super().mark_as_done(task_id, result, request=request, store_result=store_result, state=state)

    def on_chord_part_return(self, request: Any, state: str, result: Any, propagate: Any = None, **kwargs: Any) -> Any:
        """Keep what a part of a chord returned until the chord ends, sealed where a secret is in it, see `decode`."""
        return super().on_chord_part_return(request, state, self._part(result, state), propagate, **kwargs)

    def _part(self, result: Any, state: str) -> Any:
        """Return a result as a chord keeps it: what Celery does not look into is sealed as a whole."""
        secrets, plain = redaction.running(), self.encode_result(result, state)
        if state != states.SUCCESS:
            return redaction.hide(plain, secrets=secrets)
        return encryption.seal(plain) if redaction.is_suspect(bytes_to_str(self.encode(plain)), secrets) else result

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Subscribe to nothing when a job is sent: `get`, `then` and groups subscribe when someone waits.

        Celery subscribes with each publish, and where Redis is away tries that for 20 s before the publish itself is
        tried. Most senders (web, beat, workers, commands) never read a result.
        """

    def _kept_with_end(self, task_id: str, result: Any, request: Any, state: str) -> bool:
        if state != states.SUCCESS or request.ignore_result or self.url != settings.REDIS_URL:  # type: ignore[attr-defined]
            return False
        key, text = self._entry(task_id, self.encode_result(result, state), state, None, request)
        if len(text) > LARGEST:
            return False
        return tracker.succeeded(request, result, events.Result(key, text, int(self.expires or 0)))  # type: ignore[attr-defined]

    def kept_with_end(self, task_id: str, result: Any, state: str, end: dict[str, Any]) -> bool:
        """Keep the result of a job that was answered without running and report its `end`, in one step.

        Returns False where that cannot be; then nothing is done.
        """
        if state != states.SUCCESS or self.url != settings.REDIS_URL:  # type: ignore[attr-defined]
            return False
        key, text = self._entry(task_id, self.encode_result(result, state), state, None, None)
        if len(text) > LARGEST:
            return False
        return events.write_end(task_id, end, events.Result(key, text, int(self.expires or 0)))  # type: ignore[attr-defined]

    def _entry(self, task_id: str, result: Any, state: str, traceback: Any, request: Any) -> tuple[str, str]:
        """Return key and text of a result."""
        meta = self._meta(result, state, traceback, request)
        meta["task_id"] = bytes_to_str(task_id)
        return bytes_to_str(self.get_key_for_task(task_id)), self._sealed(bytes_to_str(self.encode(meta)))

    @staticmethod
    def _sealed(text: str) -> str:
        """Return the text sealed where a secret is in it: anyone who waits gets it all the same, see `decode`."""
        return encryption.sealed_text(text) if redaction.is_suspect(text, redaction.running()) else text

    def decode(self, payload: Any) -> Any:
        """Return what was kept under a key, opened where it is sealed."""
        marked = encryption.MARK.encode() if isinstance(payload, bytes) else encryption.MARK
        found = super().decode(payload)
        return encryption.opened(found) if payload and marked in payload else found

    def _meta(self, result: Any, state: str, traceback: Any, request: Any) -> dict[str, Any]:
        """Return what Celery keeps of an end: the same, with fewer look-ups of its options and of the time zone."""
        if self._extended and (extended := getattr(super(), "_get_result_meta", None)) is not None:
            return self._numbered(extended(result, state, traceback, request), state, request)
        meta = {
            "status": state,
            "result": result,
            "traceback": traceback,
            "children": self.current_task_children(request),
            "date_done": datetime.now(UTC).isoformat() if state in states.READY_STATES else None,
        }
        for key, name in (("group_id", "group"), ("parent_id", "parent_id")):
            if value := getattr(request, name, None):
                meta[key] = value
        return self._numbered(meta, state, request)

    @staticmethod
    def _readable(traceback: Any, secrets: frozenset[str]) -> Any:
        return redaction.hide_in_text(traceback, secrets) if isinstance(traceback, str) else traceback

    @functools.cached_property
    def _extended(self) -> bool:
        return bool(self.app.conf.find_value_for_key("extended", "result"))  # type: ignore[attr-defined]

    def _note(self, task_id: str, result: Any, state: str, request: Any) -> None:
        """Remember what a task stores for its own job: if it raises Ignore, that is how the job has ended."""
        request = request or getattr(get_current_task(), "request", None)
        execution = tracker.execution_of(request)
        if execution is not None and request.id == task_id and not execution.repeated:
            execution.said = state, result

    def _get_result_meta(self, result: Any, state: str, traceback: Any, request: Any, *rest: Any, **more: Any) -> Any:
        """Return what Celery keeps, with the number of the try that ended: see `_is_over`."""
        meta = super()._get_result_meta(result, state, traceback, request, *rest, **more)  # type: ignore[misc]
        return self._numbered(meta, state, request)

    @staticmethod
    def _numbered(meta: dict[str, Any], state: str, request: Any) -> dict[str, Any]:
        retries = getattr(request, "retries", None)
        if retries and state in states.READY_STATES:
            meta["retries"] = retries
        return meta

    def _keep_retry(self, task_id: str, result: Any, traceback: Any, request: Any) -> None:
        """Keep that a try failed and another one comes, unless that one has ended already.

        The message of the next try is sent first, and a free process may be quicker than we are.
        """
        key: Any = self.get_key_for_task(task_id)
        meta = self._meta(result, states.RETRY, traceback, request)
        text = self.encode({**meta, "task_id": bytes_to_str(task_id)})

        def step(pipe: Any) -> None:
            found = pipe.get(key)
            pipe.multi()
            if found and self._is_over(self.decode_result(found), request):
                return
            pipe.set(key, text, ex=int(self.expires) if self.expires else None)  # type: ignore[attr-defined]
            pipe.publish(key, text)

        self.client.transaction(step, key)

    @staticmethod
    def _is_over(found: dict[str, Any], request: Any) -> bool:
        """Return whether the job has ended by what is kept, in a try that came after this one and in this life of it.

        A success stays in any case, as with Celery: whatever replaces it later is a second delivery.
        """
        if found.get("status") == states.SUCCESS:
            return True
        if found.get("status") not in states.READY_STATES or int(found.get("retries") or 0) <= request.retries:
            return False
        execution = tracker.execution_of(request)
        ended = found.get("date_done")
        if execution is None or not ended:
            return True
        began = time.time() - (time.monotonic() - execution.began)
        ended = ended if isinstance(ended, datetime) else datetime.fromisoformat(ended)
        return bool(ended.timestamp() > began - CLOCKS)

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> Any:
        self._note(task_id, result, state, request)
        if state != states.SUCCESS:
            secrets = redaction.running()
            result, traceback = redaction.hide(result, secrets=secrets), self._readable(traceback, secrets)
            if state == states.RETRY and request is not None:
                self.ensure(self._keep_retry, (task_id, result, traceback, request))
                return result
            return super()._store_result(task_id, result, state, traceback=traceback, request=request, **kwargs)  # type: ignore[misc]
        key, text = self._entry(task_id, result, state, traceback, request)
        execution = getattr(request, "execution", None)
        if execution is not None and execution.is_part:
            execution.stored = key, text  # with its end, in the same step
        else:
            self.set(key, text)
        return result
