"""Options of the submissions to BioSamples."""

from jobroom.conf import AppSettings


class BiosampleSettings(AppSettings):
    """Where USI is, who we are there, and how patient we are."""

    prefix = "BIOSAMPLE"

    # The root of USI, without /api; EBI's test service unless the environment says otherwise (USI_URL).
    USI_URL: str = "https://submission-test.ebi.ac.uk"
    # Where a token is given for user and password, the whole address (USI_AUTH_URL).
    USI_AUTH_URL: str = "https://explore.api.aai.ebi.ac.uk/auth"
    # The account (USI_USER, USI_PASSWORD).
    USI_USER: str = ""
    USI_PASSWORD: str = ""
    # Seconds to wait for a connection or for the next bytes, and for one whole answer.
    USI_TIMEOUT: float = 20.0
    USI_ANSWER_TIMEOUT: float = 60.0
    # Most bytes of one answer, and most pages of one collection; more is taken for a fault.
    USI_ANSWER_LIMIT: int = 20_000_000
    USI_PAGES: int = 500
    # How often a request is made in all, and the seconds of the first and of the longest pause between two.
    USI_ATTEMPTS: int = 4
    USI_PAUSE: float = 1.0
    USI_PAUSE_LIMIT: float = 30.0
    # After so many submissions in a row without an answer USI counts as down, and the rest are not asked about.
    OUTAGE_AFTER: int = 3
    # Days that a submission may stay submitted before we give up.
    MAX_DAYS: float = 5
    # Longest text of a mail to an owner, in characters.
    MAIL_LIMIT: int = 5000
    # Seconds after which a mail that could not be sent is tried again.
    MAIL_RETRY: float = 600.0
    # How often the task is tried again while USI is down, and the seconds before the first time (doubled each time).
    RETRIES: int = 3
    RETRY_PAUSE: float = 30.0
    # Which vocabulary (its name) each attribute of a record is annotated with.
    VOCABULARIES: dict[str, str] = {"species": "species", "breed": "breed", "organism_part": "organism_part"}
    # Seconds that "Annotate All" waits for a vocabulary with which another job annotates.
    ANNOTATE_WAIT: float = 300.0
    # How many names are suggested for a value without a term.
    SUGGESTIONS: int = 3


settings = BiosampleSettings()
