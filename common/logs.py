"""Log lines carry the id of the job that wrote them."""

import logging

from celery._state import get_current_task


class JobFilter(logging.Filter):
    """Add `job` to each record: ` [<id>]` inside a job, else nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        task = get_current_task()
        job = getattr(getattr(task, "request", None), "id", None)
        record.job = f" [{job}]" if job else ""
        return True
