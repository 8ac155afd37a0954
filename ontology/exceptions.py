"""Errors of the ontology app."""

from jobroom.exceptions import JobFailed


class VocabularyFailed(JobFailed):
    """The vocabulary could not be loaded or used."""


class Refused(Exception):
    """A file was not accepted as a vocabulary; the message says why and what to do."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field
