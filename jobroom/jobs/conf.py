"""Options of jobs: entries of `JOBROOM` named `JOBS_<NAME>`."""

from jobroom.conf import JobroomSettings


class JobsSettings(JobroomSettings):
    """What is kept how long, and how the recorder works."""

    prefix = "JOBS"

    # Days after which finished jobs leave the database, and how many finished jobs are kept at most. 0 keeps all.
    KEEP_DAYS: float = 30
    KEEP_COUNT: int = 1_000_000
    # Days after which archived results (django-celery-results) are deleted. 0 keeps all.
    RESULTS_DAYS: float = 30
    # Most rows that one statement deletes.
    CLEANUP_CHUNK: int = 1000
    # Whether each worker runs a recorder beside it, so that none needs to be started.
    RECORD_IN_WORKERS: bool = False
    # Most events that the recorder writes in one transaction.
    RECORDER_BATCH: int = 3000
    # Least time in seconds between two batches, unless the recorder is behind.
    RECORDER_PAUSE: float = 0.02
    # Seconds after which what a recorder has read and not written is written by another.
    RECORDER_TAKE_OVER: float = 10.0
    # Seconds between two tries while Redis or the database is away.
    RECORDER_PATIENCE: float = 0.5
    # Seconds between two rounds of slow repairs.
    HOUSEKEEPING_INTERVAL: float = 5.0
    # Seconds for which a round of repairs waits until the history knows all that happened before it; then it is put off.
    MARK_VALID: float = 5.0
    # A job for later is sent to its queue so many seconds before its time (and up to two rounds of repairs earlier).
    SEND_AHEAD: float = 20.0
    # A launched job whose message no one has seen after so many seconds is sent again.
    UNSENT_AFTER: float = 60.0
    # Wrong passwords: for a name from one address, for a name from all, from one address for all names.
    LOGINS: str = "10/15m"
    LOGINS_OF_NAME: str = "100/h"
    LOGINS_OF_ADDRESS: str = "300/15m"
    # Mails with a link to a new password to one address, and requests for them from one network address.
    RESETS: str = "3/h"
    RESETS_OF_ADDRESS: str = "30/h"
    # What one person may launch, of all tasks and of the same one, and upload.
    LAUNCHES: str = "600/m"
    TASK_LAUNCHES: str = "400/m"
    UPLOADS: str = "120/m"
    # Most jobs of one person that wait, and most bytes of their files; 0 is no limit.
    WAITING_MOST: int = 10_000
    STORED_MOST: int = 20 * 1024**3
    # Most bytes of one uploaded file.
    MAX_UPLOAD: int = 512 * 1024 * 1024


settings = JobsSettings()
