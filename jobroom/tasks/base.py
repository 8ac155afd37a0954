"""`BaseTask`: progress, log lines, files, resources and locks for every task of Jobroom."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from celery.app import app_or_default
from celery.contrib.django.task import DjangoTask
from celery.exceptions import Ignore
from celery.result import AsyncResult
from celery.utils import uuid
from django.db import transaction

from jobroom import safe_text, truncation
from jobroom.arguments import Argument, File, WrongArguments, schema_of
from jobroom.arguments.redaction import seal_arguments, seal_signatures
from jobroom.cache import Answer, Similar, identity, worker
from jobroom.celery import batches, debounced, failure_serialization, raised_errors, retries, unavailable_services
from jobroom.events.attachments import AttachMixin
from jobroom.events.cancellation import JobCancelled
from jobroom.exceptions import JobFailed
from jobroom.locks import ExclusiveLock, exclusive_task, redis_lock
from jobroom.locks.batch import Batch, one_call
from jobroom.locks.debounce import Debounce
from jobroom.locks.limit import Limit
from jobroom.resources.mixin import ResourcesMixin
from jobroom.tasks import rights
from jobroom.tasks.checkpoints import StepsMixin
from jobroom.tasks.progress import ProgressMixin

__all__ = [
    "Argument",
    "BaseTask",
    "Batch",
    "Debounce",
    "ExclusiveLock",
    "File",
    "JobFailed",
    "Limit",
    "Similar",
    "enqueue",
    "exclusive_task",
    "redis_lock",
]

logger = logging.getLogger(__name__)

# Characters of an error in the one line about it in a worker's log.
LOGGED = 1_000


class BaseTask(ResourcesMixin, AttachMixin, StepsMixin, ProgressMixin, DjangoTask[Any, Any]):
    """Base of every task, decorated or class-based; `app.Task` is one too.

    Class attributes are the options: `name`, `description` (Markdown, shown in the catalogue), `action` (what a failure
    mail calls it), `track` (False for high-rate tasks that need no record), `resources` (names of shared objects, which
    the task reads as attributes of itself: `self.spam_model`), and Celery's own, of which `acks_late`
    means here: this task may run twice, so a job whose worker vanished is run again.

    `cache_for` (seconds or a timedelta) keeps the answer: who asks the same within that time gets it at once. The same
    is: the same arguments, files by their content, or the same `fingerprint` (a function of the arguments that gives a
    text or a `Similar`), and the same `version` (a text, or a function that gives it).

    `limit` (a number, or a `Limit`) is how many jobs of it run at once over all workers, or start in a time. With `debounce`
    (seconds, or a `Debounce`) only the last of several calls runs; with `batch` (a `Batch`) many calls become one with lists.

    `keep_whole` keeps an error, a traceback or a log line that is too long for the page as a file of the job
    (default: the setting KEEP_WHOLE).
    """

    description: str | None = None
    action: str | None = None
    tracked: ClassVar[bool] = True
    cache_for: float | timedelta | None = None
    fingerprint: Callable[..., str | Similar] | None = None
    version: str | Callable[..., str] = ""
    keep_whole: bool | None = None
    asks_before_start: ClassVar[bool] = True
    limit: int | Limit | None = None
    debounce: float | Debounce | None = None
    batch: Batch | None = None
    throws: tuple[type[Exception], ...] = (JobFailed, WrongArguments)
    Request = "jobroom.celery.redeliveries:Request"

    def __init__(self) -> None:
        """Bind the task to the app: Celery forgets to when a class is given to `app.tasks.register` after start-up."""
        super().__init__()
        if "run" in {name for cls in type(self).__mro__ if cls not in BaseTask.__mro__ for name in vars(cls)}:
            _ = self.app  # reading it binds

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take the option `track` for what it says, and give its name back to the method `track(rows)`."""
        if isinstance(cls.batch, Batch) and (run := vars(cls).get("run")) is not None:
            bound = not isinstance(run, staticmethod)
            single = one_call(getattr(run, "__func__", run), bound=bound)
            cls.run = single if bound else staticmethod(single)
        super().__init_subclass__(**kwargs)
        option = vars(cls).get("track")
        if isinstance(option, bool):
            cls.tracked = option
            del cls.track
        identity.declared(str(vars(cls).get("name") or cls.__qualname__), vars(cls))
        for name in ("fingerprint", "version"):
            if name in vars(cls):
                setattr(cls, name, identity.plain(vars(cls)[name]))

    def debug_task(self) -> None:
        """Log the request at level DEBUG; outside a job there is none, and nothing happens."""
        request = self.request
        if request.id is not None:
            logger.debug("Request: %r", request)

    def _current_request(self) -> Any:
        # Every progress call asks for it: Celery's stack is read where it lies, because its own way there takes 2 µs. It
        # cannot be had faster otherwise: USE_FAST_LOCALS, Celery's switch, mixes up the jobs of a pool of threads.
        try:
            local = self.request_stack._local  # type: ignore[attr-defined]
            return local.__storage__[local.__ident_func__()]["stack"][-1]
        except (AttributeError, KeyError, IndexError):
            return self._request_of_celery()

    def _request_of_celery(self) -> Any:
        # Celery binds a class-based task when the app is finalized; `run()` may be called on one before that.
        if getattr(self, "request_stack", None) is None:
            self.bind(self.app)
        return super().request

    request = property(_current_request)

    @property
    def __trace__(self) -> Any:
        return vars(self).get("__trace__")

    @__trace__.setter
    def __trace__(self, tracer: Any) -> None:
        vars(self)["__trace__"] = None if tracer is None else failure_serialization.sealed(tracer)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task; inside a job, ids and texts of the message become what the hints of `run` say."""
        request = self.request
        if request.called_directly:
            return super().__call__(*args, **{**kwargs, **self.missing_resources(kwargs)})
        if (cannot_open := getattr(request, "cannot_open", None)) is not None:
            raise cannot_open
        execution = getattr(request, "execution", None)
        if execution is not None and execution.unasked is not None:
            unavailable_services.ask_redis(self, lambda: execution.ask_start(request.id))
        if execution is not None and execution.repeated:
            raise Ignore("the job has ended already, or runs elsewhere")
        try:
            self.check_cancelled()
            unavailable_services.ask_database(self, lambda: rights.ask(self, args, kwargs))
            return self._run_job(execution, args, kwargs)
        except JobCancelled as cancelled:
            request.execution.outcome, request.execution.reason = "cancelled", str(cancelled)
            self.backend.mark_as_revoked(request.id, str(cancelled), request=request)
            raise Ignore from cancelled
        except BaseException as error:
            raised_errors.note(request, error)
            if isinstance(error, Exception) and (policy := getattr(request, "retry_policy", None)):
                retries.by_policy(self, error, policy)
            raised_errors.contain(error, self._hard_limit)
            raise

    @property
    def _hard_limit(self) -> float | None:
        """Seconds after which the pool ends the job, as its message or its task says."""
        return (self.request.timelimit or (None,))[0] or self.time_limit

    def _run_job(self, execution: Any, args: Any, kwargs: Any) -> Any:
        job = self.request.id
        if self.debounce is not None and execution is not None:
            later = unavailable_services.ask_redis(self, lambda: debounced.taken_over_by(job))
            if later:
                execution.outcome, execution.holder = "skipped", later
                return f"{self.name} superseded by job {later}"
        if isinstance(self.batch, Batch) and execution is not None:
            answer = unavailable_services.ask_redis(self, lambda: batches.answer_of(job))
            if answer is not None:
                return batches.given(self, answer)
            return batches.run(self, args, kwargs, lambda: self.run_with_resources((), {}))
        received_args, received_kwargs = unavailable_services.ask_database(
            self, lambda: schema_of(self).received(args, kwargs)
        )
        if self.cache_for is not None and execution is not None:
            run = functools.partial(self.run_with_resources, received_args, received_kwargs)
            return worker.once(self, args, kwargs, run)
        return self.run_with_resources(received_args, received_kwargs)

    def apply_async(self, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        """Send the task as Celery does, with the secrets among its arguments sealed: the worker opens them."""
        args, kwargs = seal_arguments(self.run, args, kwargs)
        for name in ("link", "link_error", "chain", "chord"):
            if options.get(name):
                options[name] = seal_signatures(options[name], self._function_of)
        return super().apply_async(args, kwargs, *rest, **options)

    def _function_of(self, task: str) -> Any:
        return getattr(self.app.tasks.get(task), "run", None)

    def add_to_chord(self, sig: Any, lazy: bool = False) -> Any:
        """Add a task to the chord that the job is part of, as Celery does; in a workflow, to the group that others wait for."""
        add = getattr(getattr(getattr(self.request, "execution", None), "write", None), "add_beside", None)
        return super().add_to_chord(sig, lazy) if add is None else add(sig, lazy=lazy)  # type: ignore[call-overload]

    def earlier_answer(self) -> Answer | None:
        """Return the latest answer kept for the same arguments, of any version of the task: to recalculate from.

        Only for a job that was launched to do so; None for any other, and where none is kept.
        """
        return worker.earlier_answer(self)

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Log the final failure in one line; hooks of subclasses call `super()` first."""
        logger.error("Job %s (%s) failed: %s", task_id, self.name, truncation.shorten(safe_text.repr_of(exc), LOGGED))


def enqueue(
    name: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
) -> AsyncResult[Any]:
    """Send the task called `name` when the current transaction commits; return its result, whose id is known at once.

    `options` are those of Celery's `apply_async`. Services call this, so that they need not import tasks.
    """
    task_id = options.pop("task_id", None) or _new_id()
    app = app_or_default()

    def send() -> None:
        task = app.tasks.get(name)
        if task is not None:
            task.apply_async(tuple(args), dict(kwargs or {}), task_id=task_id, **options)
        else:
            app.send_task(name, tuple(args), dict(kwargs or {}), task_id=task_id, **options)

    transaction.on_commit(send)
    return AsyncResult(task_id, app=app)


def _new_id() -> str:
    return str(uuid())
