"""A pool that is made smaller ends no process that has a job.

For Celery a process is idle until it has said that its job began. One to which a job was sent a moment ago was killed with it, by the
command, by autoscaling, and by a person who looked at a quiet worker. And one that was asked to end was counted once more until it had.
"""

from typing import Any


def spare_busy_processes(pool: Any) -> None:
    """Have a pool count a process as busy from the moment in which a job is meant for it, and when it is about to end.

    Twice is the same as once.
    """
    inner = getattr(pool, "_pool", None)
    if inner is None or not hasattr(type(inner), "_worker_active") or "_worker_active" in vars(inner):
        return
    has_begun = inner._worker_active

    def is_busy(process: Any) -> bool:
        if has_begun(process) or getattr(process, "_controlled_termination", False):
            return True
        jobs = list(inner._cache.values())
        return any(process in (getattr(job, "_scheduled_for", None), getattr(job, "_write_to", None)) for job in jobs)

    inner._worker_active = is_busy
