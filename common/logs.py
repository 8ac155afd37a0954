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


class ProbeFilter(logging.Filter):
    """Drop the site's error line for a probe that answers "not yet": whoever asked has the answer."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass but a 503 of /readyz."""
        path = getattr(getattr(record, "request", None), "path", "")
        return not (path == "/readyz" and getattr(record, "status_code", 0) == 503)
