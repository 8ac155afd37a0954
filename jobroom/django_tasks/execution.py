"""What a worker does around a `@task` function: its context, its return value as plain JSON, the framework's signals."""

import dataclasses
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from celery.exceptions import Ignore, Reject, Retry
from django.utils import timezone

from jobroom import safe_text
from jobroom.current_task import get_current_task
from jobroom.django_tasks import results
from jobroom.django_tasks.framework import (
    AnyResult,
    AnyTask,
    TaskContext,
    TaskError,
    TaskResultStatus,
    normalize_json,
    task_finished,
    task_started,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobContext(TaskContext):  # type: ignore[misc,type-arg] # frozen and no generic, whatever the stubs say
    """The framework's context, with the job: `context.job.progress(3, 10)`, `log`, `track`, `stage`, `attach`."""

    job: Any


def execute(task: AnyTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run the function with its arguments and return what it returned, as plain JSON."""
    job: Any = get_current_task()
    if job is None or job.request.called_directly:
        return task.call(*args, **kwargs)
    result = results.running(task, job.request)
    context = [JobContext(task_result=result, job=job)] if task.takes_context else []
    sender = type(task.get_backend())
    # A receiver that fails fails alone; the framework's own logs the error.
    task_started.send_robust(sender=sender, task_result=result)
    try:
        returned = normalize_json(task.call(*context, *args, **kwargs))
    except (Ignore, Reject, Retry):
        raise  # the job goes on, or its end is reported elsewhere
    except BaseException as error:
        _finish(result, TaskResultStatus.FAILED, errors=[*result.errors, _error(error)])
        task_finished.send_robust(sender=sender, task_result=result)
        raise
    _finish(result, TaskResultStatus.SUCCESSFUL, _return_value=returned)
    task_finished.send_robust(sender=sender, task_result=result)
    return returned


def _error(error: BaseException) -> TaskError:
    return TaskError(
        exception_class_path=results.importable(safe_text.full_name(type(error))),
        traceback="".join(traceback.format_exception(error)),
    )


def _finish(result: AnyResult, status: TaskResultStatus, **values: Any) -> None:
    # The framework's backends write into its frozen results the same way: receivers look at the object they know.
    for name, value in {"status": status, "finished_at": timezone.now(), **values}.items():
        object.__setattr__(result, name, value)
