"""Options of the jobs app: Django settings named `JOBS_<NAME>`."""

from common.conf import AppSettings


class JobsSettings(AppSettings):
    """What is kept how long, and how the recorder works."""

    prefix = "JOBS"

    # Days after which finished jobs leave the book, and how many finished jobs are kept at most. 0 keeps all.
    KEEP_DAYS: float = 30
    KEEP_COUNT: int = 1_000_000
    # Days after which archived results (django-celery-results) are deleted. 0 keeps all.
    RESULTS_DAYS: float = 30
    # Most rows that one statement deletes.
    CLEANUP_CHUNK: int = 1000
    # Most events that the recorder writes in one transaction.
    RECORDER_BATCH: int = 3000
    # Least time in seconds between two batches, unless the book is behind.
    RECORDER_PAUSE: float = 0.02
    # Seconds after which what a recorder has read and not written is written by another.
    RECORDER_TAKE_OVER: float = 10.0
    # Seconds between two tries while Redis or the database is away.
    RECORDER_PATIENCE: float = 0.5
    # Seconds between two rounds of slow repairs.
    HOUSEKEEPING_INTERVAL: float = 5.0
    # A job for later is sent to its queue so many seconds before its time (and up to two rounds of repairs earlier).
    SEND_AHEAD: float = 20.0
    # A launched job whose message nobody has seen after so many seconds is sent again.
    UNSENT_AFTER: float = 60.0
    # Most bytes of one uploaded file.
    MAX_UPLOAD: int = 512 * 1024 * 1024


settings = JobsSettings()
