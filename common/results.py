"""Celery's Redis result backend, with one round trip less for a job that succeeded."""

from typing import Any

from celery import states
from celery.backends.redis import RedisBackend
from kombu.utils.encoding import bytes_to_str


class ResultBackend(RedisBackend):
    """Keeps results as Celery does, and reads before it writes only where that changes anything.

    Celery looks first whether a success is stored already, so that the failure of a job that was delivered twice does
    not replace it. A success may be written without looking: the later one is the one that somebody waits for.
    """

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> Any:
        if state != states.SUCCESS:
            return super()._store_result(task_id, result, state, traceback=traceback, request=request, **kwargs)  # type: ignore[misc]
        meta: dict[str, Any] = self._get_result_meta(  # type: ignore[attr-defined]
            result=result, state=state, traceback=traceback, request=request
        )
        meta["task_id"] = bytes_to_str(task_id)
        key, text = self.get_key_for_task(task_id), self.encode(meta)
        execution = getattr(request, "execution", None)
        if execution is not None and execution.is_part:
            execution.stored = bytes_to_str(key), bytes_to_str(text)  # with its end, in the same step
        else:
            self._set_with_state(key, text, state)  # type: ignore[attr-defined]
        return result
