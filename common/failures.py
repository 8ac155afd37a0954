"""Tells the admins about a final failure, once."""

from typing import Any


def on_signal(task: Any, task_id: str, exception: BaseException, einfo: Any) -> None:
    """Mail about a failure for which Celery calls no `on_failure`: a killed pool process."""


def report(task: Any, exception: BaseException, task_id: str, args: Any, kwargs: Any, trace: str) -> None:
    """Mail the admins about the failure of one job."""
