"""The vocabularies as a resource of workers: opened before the first job, and always the version in use."""

import threading

from jobroom.resources import resource
from ontology import services
from ontology.exceptions import VocabularyFailed
from ontology.models import Vocabulary
from ontology.vocabulary.index import Index


class Vocabularies:
    """The open indexes of all vocabularies, by name; for many threads at once.

    An index is read in place, so neither the number of processes nor the size of a vocabulary makes this large.
    """

    def __init__(self) -> None:
        self._open: dict[str, Index] = {}
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Index:
        """Return the index of the version in use; raise VocabularyFailed, which names those that there are."""
        row = Vocabulary.objects.select_related("index").filter(name=name).first()
        if row is None:
            known = ", ".join(Vocabulary.objects.values_list("name", flat=True)) or "none"
            raise VocabularyFailed(f"There is no vocabulary “{name}”. There are: {known}.")
        with self._lock:
            found = self._open.get(name)
            if found is None or found.version != row.version:
                found = self._open[name] = row.open()  # the old one is closed when the last job lets go of it
        return found

    def warm_up(self) -> None:
        """Open all that can be opened; the others report to the job that asks for them."""
        for row in Vocabulary.objects.usable().select_related("index"):
            try:
                self._open[row.name] = row.open()
            except VocabularyFailed:
                continue


@resource("vocabularies", queues=["default"], version=services.fingerprint, holds="jobs")
def vocabularies() -> Vocabularies:
    """Vocabularies of terms, opened; those that come with the project are loaded at the first start."""
    services.make_ready()
    found = Vocabularies()
    found.warm_up()
    return found
