"""`exclusive_task`: a task that never overlaps with itself, or with others of the same lock."""

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from celery import Task

from jobroom.celery import unavailable_services
from jobroom.conf import settings
from jobroom.current_task import get_current_task
from jobroom.locks import requeue
from jobroom.locks.exclusive import ExclusiveLock
from jobroom.locks.names import Naming, namer

logger = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])


class exclusive_task:
    """Decorates `run`, or the function of a decorated task: below `@app.task`, above `def`.

    `task_name` is what the answer to a busy lock says: "<task_name> already running!". `lock_id` is the name of the
    lock, a template of the arguments ("Import {submission_id}") or a callable that takes the arguments. With `blocking`
    the call waits up to `wait` seconds (default `LOCK_WAIT`): a direct call waits where it is, a job goes back
    to its queue meanwhile. `ttl` (seconds) overrides `LOCK_TTL`. `block_expire` and `lock_expire` are
    accepted for the sake of older code and change nothing: the lock expires when its holder vanishes, not before.
    """

    def __init__(
        self,
        task_name: str,
        lock_id: Naming,
        blocking: bool = False,
        block_expire: bool = False,
        *,
        lock_expire: bool | None = None,
        wait: float | None = None,
        ttl: float | None = None,
    ) -> None:
        self.task_name = task_name
        self.lock_id = lock_id
        self.blocking = blocking
        self.wait = wait
        self.ttl = ttl

    @property
    def busy(self) -> str:
        """What a call returns when the lock is held by someone else."""
        return f"{self.task_name} already running!"

    def __call__(self, run: F) -> F:
        """Return `run` under the lock, with its name and signature."""
        name = namer(self.lock_id, run)

        @functools.wraps(run)
        def exclusive(*args: Any, **kwargs: Any) -> Any:
            request = _own_request(exclusive, args)
            lock = ExclusiveLock(name(args, kwargs), ttl=self.ttl, task=self._name_of(args))
            wait = self.patience if self.blocking and request is None else 0.0
            if not self._taken(lock, wait, request):
                return self._refused(lock, request)
            try:
                return run(*args, **kwargs)
            finally:
                lock.release()

        # Celery reads the arguments from the function itself and does not follow `__wrapped__`.
        exclusive.__signature__ = inspect.signature(run)  # type: ignore[attr-defined]
        exclusive.lock = self  # type: ignore[attr-defined]
        return exclusive  # type: ignore[return-value]

    @property
    def patience(self) -> float:
        """Longest wait in seconds of a blocking call."""
        return settings.LOCK_WAIT if self.wait is None else self.wait

    def _name_of(self, args: tuple[Any, ...]) -> str:
        task = args[0] if args and isinstance(args[0], Task) else None
        return str(getattr(task, "name", None) or self.task_name)

    def _taken(self, lock: ExclusiveLock, wait: float, request: Any) -> bool:
        """Return whether the lock is ours; a job that is about to start waits until Redis says so, or not."""
        if request is None:
            return lock.acquire(wait)
        return unavailable_services.ask_redis(get_current_task(), lambda: lock.acquire(wait))

    def _refused(self, lock: ExclusiveLock, request: Any) -> str:
        if request is not None:
            requeue.wait_in_queue(request, lock, self.patience if self.blocking else 0.0)
        logger.warning(
            "%s (lock %r is held by %s)", self.busy, lock.name, lock.refusal.job or "a process without a job"
        )
        execution = getattr(request, "execution", None)
        if execution is not None:
            execution.outcome = "skipped"
            execution.holder = lock.refusal.job
        return self.busy


def _own_request(exclusive: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Return the request of the job whose run this very call is; None for a call from code, inside a job or not."""
    task: Any = get_current_task()
    if task is None or task.request.called_directly or task.request.is_eager:
        return None
    if args and isinstance(args[0], Task) and args[0] is not task:
        return None
    # The run may call itself, or be called by another decorated with the same lock: only the first call is the job's.
    entered = vars(task.request).setdefault("entered_locks", [])
    if exclusive in entered or not _leads_to(task, exclusive):
        return None
    entered.append(exclusive)
    return task.request


def _leads_to(task: Any, exclusive: Callable[..., Any]) -> bool:
    """Return whether the task's run is `exclusive`, perhaps under other decorators or Celery's own retry."""
    function: Any = task.run
    while function is not None:
        if function is exclusive or getattr(function, "__func__", None) is exclusive:
            return True
        function = getattr(function, "__wrapped__", None)
    return False
