"""Celery's Redis result backend, with fewer round trips for a job that succeeded."""

import functools
from datetime import UTC, datetime
from typing import Any

from celery import states
from celery.backends.redis import RedisBackend
from django.conf import settings as django_settings
from kombu.utils.encoding import bytes_to_str

from common import events, tracking


class ResultBackend(RedisBackend):
    """Keeps results as Celery does, and reads before it writes only where that changes anything.

    Celery looks first whether a success is stored already, so that the failure of a job that was delivered twice does
    not replace it. A success may be written without looking: the later one is the one that somebody waits for.

    The success of a tracked job goes out together with the event that tells its end, where the Redis is the same.
    """

    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, store_result: bool = True, state: str = states.SUCCESS
    ) -> None:
        """Keep the result of a job that succeeded."""
        execution = tracking.execution_of(request)
        if store_result and execution is not None and not execution.is_part:
            store_result = not self._kept_with_end(task_id, result, request, state)
        super().mark_as_done(task_id, result, request=request, store_result=store_result, state=state)

    def _kept_with_end(self, task_id: str, result: Any, request: Any, state: str) -> bool:
        if state != states.SUCCESS or request.ignore_result or self.url != django_settings.REDIS_URL:  # type: ignore[attr-defined]
            return False
        key, text = self._entry(task_id, self.encode_result(result, state), state, None, request)
        if len(text) > self._MAX_STR_VALUE_SIZE:  # type: ignore[attr-defined]
            return False
        return tracking.succeeded(request, result, events.Result(key, text, int(self.expires or 0)))  # type: ignore[attr-defined]

    def kept_with_end(self, task_id: str, result: Any, state: str, told: dict[str, Any]) -> bool:
        """Keep the result of a job that was answered without running and tell its end (`told`), in one step.

        Returns False where that cannot be; then nothing is done.
        """
        if state != states.SUCCESS or self.url != django_settings.REDIS_URL:  # type: ignore[attr-defined]
            return False
        key, text = self._entry(task_id, self.encode_result(result, state), state, None, None)
        if len(text) > self._MAX_STR_VALUE_SIZE:  # type: ignore[attr-defined]
            return False
        return events.write_end(task_id, told, events.Result(key, text, int(self.expires or 0)))  # type: ignore[attr-defined]

    def _entry(self, task_id: str, result: Any, state: str, traceback: Any, request: Any) -> tuple[str, str]:
        """Return key and text of a result."""
        meta = self._meta(result, state, traceback, request)
        meta["task_id"] = bytes_to_str(task_id)
        return bytes_to_str(self.get_key_for_task(task_id)), bytes_to_str(self.encode(meta))

    def _meta(self, result: Any, state: str, traceback: Any, request: Any) -> dict[str, Any]:
        """Return what Celery keeps of an end: the same, with fewer look-ups of its options and of the time zone."""
        if self._extended:
            return self._get_result_meta(result=result, state=state, traceback=traceback, request=request)  # type: ignore[attr-defined,no-any-return]
        meta = {
            "status": state,
            "result": result,
            "traceback": traceback,
            "children": self.current_task_children(request),
            "date_done": datetime.now(UTC).isoformat(),
        }
        for key, name in (("group_id", "group"), ("parent_id", "parent_id")):
            if value := getattr(request, name, None):
                meta[key] = value
        return meta

    @functools.cached_property
    def _extended(self) -> bool:
        return bool(self.app.conf.find_value_for_key("extended", "result"))  # type: ignore[attr-defined]

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> Any:
        if state != states.SUCCESS:
            return super()._store_result(task_id, result, state, traceback=traceback, request=request, **kwargs)  # type: ignore[misc]
        key, text = self._entry(task_id, result, state, traceback, request)
        execution = getattr(request, "execution", None)
        if execution is not None and execution.is_part:
            execution.stored = key, text  # with its end, in the same step
        else:
            self._set_with_state(key, text, state)  # type: ignore[attr-defined]
        return result
