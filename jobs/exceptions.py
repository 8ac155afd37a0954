"""Errors of the jobs app."""


class JobError(Exception):
    """Base of this app's errors; never raised itself."""


class InvalidTransition(JobError):
    """The job is not in a state from which this is possible."""

    def __init__(self, job_id: str, state: str, wanted: str) -> None:
        super().__init__(f"Job {job_id} is {state} and cannot become {wanted}.")


class InvalidEvent(JobError):
    """An entry of the events' stream that cannot be understood; the message says why."""
