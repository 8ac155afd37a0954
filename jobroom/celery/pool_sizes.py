"""A pool that is made smaller ends no process under a job.

Celery takes a process for idle until it says that it has begun a job. One that was given a job a moment ago was ended with it: by the
command, by autoscaling, and by a person who looked at a quiet worker.
"""

from typing import Any


def spare_busy_processes(pool: Any) -> None:
    """Have a pool count a process as busy from the moment in which a job is meant for it; twice is the same as once."""
    inner = getattr(pool, "_pool", None)
    if inner is None or not hasattr(type(inner), "_worker_active") or "_worker_active" in vars(inner):
        return
    has_begun = inner._worker_active

    def is_busy(process: Any) -> bool:
        jobs = list(inner._cache.values())
        return has_begun(process) or any(process in (job._scheduled_for, job._write_to) for job in jobs)

    inner._worker_active = is_busy
