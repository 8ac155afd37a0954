"""The tasks of workflows: launch one by its name, and look after all."""

from typing import Annotated, Any

from celery import shared_task
from celery.exceptions import Ignore

from jobroom.tasks import Argument, BaseTask, JobFailed
from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.workflows import BEGIN, Workflow


def names(answers: dict[str, Any]) -> list[str]:
    """Return the names of the definitions that the person who asks may launch, for the launch form."""
    from jobroom.workflows import launches  # noqa: PLC0415 — a Celery app may import this module before the models are there

    return launches.offered()


@shared_task(bind=True, base=BaseTask, name="jobroom.workflows.run", title="Run a workflow")
def run(
    self: BaseTask,
    definition: Annotated[str, Argument(title="Workflow", help="The name of a definition.", choices=names)],
    payload: Annotated[
        dict[str, Any] | None, Argument(title="Payload", help="What it is given, as a JSON object.")
    ] = None,
) -> dict[str, str]:
    """Launch a workflow by its name: what a schedule does to run one regularly. Answers its id and address."""
    from jobroom.workflows import launches, owners  # noqa: PLC0415 — a Celery app may import this module before the models are there

    try:
        by = owners.owner_of(self.request)
        stored = launches.launch(
            definition=definition,
            payload=payload or {},
            by=by,
            source="schedule" if getattr(self.request, "periodic_task_name", None) else "task",
            schedule=getattr(self.request, "periodic_task_name", None) or "",
        )
    except WorkflowException as error:
        raise JobFailed(str(error)) from error
    return {"workflow": stored.pk, "url": stored.get_absolute_url()}


@shared_task(bind=True, base=BaseTask, name=BEGIN, title="Begin a workflow", track=False, acks_late=True)
def begin(self: BaseTask, workflow_dict: dict[str, Any]) -> None:
    """Begin a workflow that was frozen and sent as a signature: its result is that of the signature.

    What follows it in a chain becomes part of the workflow, behind everything else.
    """
    from jobroom.workflows import owners, services  # noqa: PLC0415 — a Celery app may import this module before the models are there

    services.begin_frozen(Workflow.from_dict(workflow_dict), self.request, owner=owners.owner_of(self.request))
    raise Ignore  # the workflow stores the result when it ends


@shared_task(base=BaseTask, name="jobroom.workflows.cleanup", title="Clean up old workflows", ignore_result=False)
def cleanup() -> int:
    """Delete workflows that ended long ago (WORKFLOWS_KEEP_DAYS); answers how many."""
    from jobroom.workflows import services  # noqa: PLC0415 — a Celery app may import this module before the models are there

    return services.cleanup()


def register_workflow_processor(app: Any, **decorator_kws: Any) -> Any:
    """Return the task that repairs workflows, registered under the name that celery-dyrygent gives its processor.

    Workflows run without it: finished nodes advance them, and the recorder's housekeeping looks after the rest. Calling
    the task does one round of that at once.
    """
    options = {"name": "workflow-processor", "bind": True, "max_retries": 1, **decorator_kws}
    if options["name"] not in app.tasks:
        app.task(**options)(_sweep)
    task = app.tasks[options["name"]]
    Workflow.set_workflow_processor_task(task)
    return task


def _sweep(self: Any, workflow_dict: dict[str, Any] | None = None) -> int:
    """Look after all workflows once; return how many needed it."""
    from jobroom.workflows.repair import sweeper  # noqa: PLC0415 — a Celery app may import this module before the models are there

    return sweeper.sweep()
