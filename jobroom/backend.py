"""The backend for Django's own tasks: `TASKS = {"default": {"BACKEND": "jobroom.backend.JobroomBackend"}}`."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from django.apps import apps
from django.core import checks

from jobroom.celery.routes import routed
from jobroom.conf import settings
from jobroom.django_tasks import registration
from jobroom.django_tasks.framework import (
    DEFAULT_TASK_QUEUE_NAME,
    AnyResult,
    AnyTask,
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResultDoesNotExist,
    normalize_json,
    task_enqueued,
)


class JobroomBackend(BaseTaskBackend):
    """Runs `@task` functions as jobs: in the list of tasks with a form, with progress, history, retry and cancel.

    Models are imported where they are needed: a `@task` may be declared while Django still loads them.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def validate_task(self, task: AnyTask) -> None:
        """Check the task as the framework does, and make it known to Celery; raise InvalidTask."""
        super().validate_task(task)
        registration.register(task)

    def enqueue(self, task: AnyTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> AnyResult:
        """Write a job without an owner into the database, and send it when the transaction commits; return its result.

        Raises InvalidTask, TypeError for arguments that are no JSON, and WrongArguments, which names each that does not
        fit the function.
        """
        from jobroom.django_tasks import results
        from jobroom.jobs import launches

        self.validate_task(task)
        _check_declared(task)
        registration.celery_task(task)
        declared = registration.declared(task.module_path) or task
        job = launches.launch_call(
            task=task.module_path,
            args=normalize_json(list(args)),
            kwargs=normalize_json(dict(kwargs)),
            queue=registration.queue(task) or routed(task.module_path),
            priority=registration.priority(task),
            run_after=task.run_after,
            facts=results.variant(task, declared),
        )
        result = results.of(job, task)
        task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> AnyResult:
        """Return the result as it is now; raise TaskResultDoesNotExist where no `@task` has such a job."""
        from jobroom.django_tasks import results
        from jobroom.jobs import current_state

        job = current_state.job(str(result_id))
        declared = registration.declared(job.task) if job is not None else None
        if job is None or declared is None:
            raise TaskResultDoesNotExist(result_id)
        return results.of(job, declared)

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Return what is wrong with the entry of `TASKS` and the settings around it."""
        found = list(super().check(**kwargs))
        if not apps.is_installed("jobroom.jobs"):
            return [*found, self._not_installed()]
        unserved = sorted(self.queues - {DEFAULT_TASK_QUEUE_NAME} - set(settings.QUEUES))
        return [*found, self._unserved(unserved)] if unserved else found

    def _not_installed(self) -> checks.CheckMessage:
        return checks.Error(
            f"TASKS['{self.alias}'] runs tasks in Jobroom, which is not installed.",
            hint="Add *jobroom.APPS to INSTALLED_APPS.",
            id="jobroom.backend.E001",
        )

    def _unserved(self, queues: list[str]) -> checks.CheckMessage:
        return checks.Warning(
            f"TASKS['{self.alias}'] names queues that are none of Jobroom's: {', '.join(queues)}.",
            hint="Add them to QUEUES in JOBROOM and start a worker with -Q for each, or their jobs wait for ever.",
            id="jobroom.backend.W002",
        )


def _check_declared(task: AnyTask) -> None:
    """Refuse what a module declares for another backend: it is a task of ours here alone, and no worker knows it."""
    declared = getattr(sys.modules.get(task.func.__module__), task.func.__qualname__, None)
    if isinstance(declared, Task) and not isinstance(declared.get_backend(), JobroomBackend):
        raise InvalidTask(
            f"{task.module_path} is declared for the backend {declared.backend!r}, so no worker of Jobroom knows it. "
            f"Declare it with @task(backend={task.backend!r})."
        )
