"""Errors of the text app."""

from jobroom.exceptions import JobFailed


class TextFailed(JobFailed):
    """The text could not be processed."""


class FileRefused(TextFailed):
    """The file cannot be read; the message names the line and the remedy."""


class ModelRefused(TextFailed):
    """The file of a model is not what its row says, or holds what is not trusted."""


class CannotTrain(TextFailed):
    """Nothing can be learned from these messages; the message says what is missing."""


class NoSuchVersion(TextFailed):
    """There is no such version of the model."""


class ModelChanged(TextFailed):
    """Another version works than the caller saw."""

    def __init__(self, now: str) -> None:
        which = "no version works" if now == "none" else f"version {now} works"
        super().__init__(f"Nothing was changed: {which} now, which is not what you saw. Look again, and decide.")
        self.now = now
