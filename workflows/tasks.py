"""The processor: what celery-dyrygent needs to be registered, and what here repairs what the engine could not see."""

from typing import Any

from workflows.workflows import Workflow


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
    from workflows.engine import sweeping

    return sweeping.sweep()
