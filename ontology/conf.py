"""Options of the ontology app."""

from jobroom.conf import AppSettings


class OntologySettings(AppSettings):
    """Limits of vocabularies and of what is asked of them."""

    prefix = "ONTOLOGY"

    # Largest file of a vocabulary, in bytes.
    MAX_BYTES: int = 200 * 2**20
    # What the process that reads it may use: bytes of memory, seconds of processor time and of waiting.
    MEMORY: int = 4 * 2**30
    CPU_SECONDS: int = 1800
    SECONDS: float = 3600.0
    # Longest text that is annotated at once, in characters.
    MAX_TEXT: int = 1_000_000


settings = OntologySettings()
