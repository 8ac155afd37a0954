"""Errors of the assets app."""

from jobroom.exceptions import JobFailed


class AssetFailed(JobFailed):
    """The asset could not be processed."""


class Refused(Exception):
    """An upload was not accepted; the message says why and what to do."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field
