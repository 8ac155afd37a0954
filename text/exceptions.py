"""Errors of the text app."""

from common.exceptions import JobFailed


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
