"""Options of the notifications."""

from jobroom.conf import JobroomSettings


class NotificationsSettings(JobroomSettings):
    """Options of mails; the first attempt of a failure mail that goes past the queue belongs to `jobroom.tasks.failure_mail`."""

    prefix = "NOTIFICATIONS"

    # So often a mail is tried in all before it stays failed.
    MAIL_TRIES: int = 10
    # Seconds before the second attempt, doubled for each further one up to the longest pause.
    MAIL_RETRY_FIRST: float = 30.0
    MAIL_RETRY_LONGEST: float = 3600.0
    # Seconds after which a mail that no worker has taken is sent by the recorder.
    MAIL_OVERDUE: float = 300.0
    # Whether a mail is sent again when it is unknown whether it went out. A single mail may say otherwise.
    MAIL_MAY_REPEAT: bool = False
    # Largest mail, in bytes, that lies in the database; a larger one becomes a file.
    MAIL_IN_DATABASE: int = 100_000
    # Largest mail that is taken at all, in bytes.
    MAIL_LARGEST: int = 25_000_000
    # Days for which the lists of mails are kept.
    MAIL_KEPT_DAYS: int = 90


settings = NotificationsSettings()
