"""Errors of the jobs app."""

import difflib
from collections.abc import Iterable


class JobError(Exception):
    """Base of this app's errors; never raised itself."""


class InvalidEvent(JobError):
    """An entry of the events' stream that cannot be understood; the message says why."""


class UnknownTask(JobError):
    """There is no such task."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        close = difflib.get_close_matches(name[:255], list(known), n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(close)}?" if close else " `manage.py jobroom tasks` lists them."
        super().__init__(f"There is no task called “{name}”.{hint}")


class NotAllowed(JobError):
    """This person may not do that; the message says what would help."""


class NotOpen(NotAllowed, UnknownTask):
    """There is no such task for this person: none at all, or one that they may know nothing of. Nothing shows which."""

    def __init__(self, name: str, open_ones: Iterable[str]) -> None:
        close = difflib.get_close_matches(name[:255], list(open_ones), n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        text = f"There is no task called “{name}” that you may launch.{hint}"
        JobError.__init__(self, f"{text} Ask an administrator for a rule that opens it to your group.")


class SecretsNotKept(JobError):
    """Some arguments of the job were secret and are not kept: launch it again and give them again."""

    def __init__(self) -> None:
        super().__init__((type(self).__doc__ or "").strip())


class TooLarge(JobError):
    """A file is larger than allowed; the message says how large it may be."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The file is too large: at most {most:,} bytes are allowed (JOBS_MAX_UPLOAD).")


class NotNow(JobError):
    """This cannot be done in the state the job, or the cause of failures, is in; the message says why."""


class NotCommitted(JobError):
    """A launch cannot wait inside an open transaction: the job is sent only when that is committed.

    Launch after the `transaction.atomic()` block, or launch in it without `wait`, and wait after it with
    `jobroom.jobs.completion.blocked(job, seconds)`.
    """

    def __init__(self) -> None:
        super().__init__(" ".join((type(self).__doc__ or "").split()))


class Changed(JobError):
    """Others have changed this since the caller read it (`If-Match`); the message says what it is now."""
