"""Options of the notifications."""

from common.conf import AppSettings


class NotificationsSettings(AppSettings):
    """Options of failure mails after their first attempt; the attempt itself belongs to `common.failures`."""

    prefix = "NOTIFICATIONS"

    # So often a mail is tried in all before it stays failed.
    MAIL_TRIES: int = 10
    # Seconds before the second attempt, doubled for each further one up to the longest pause.
    MAIL_RETRY_FIRST: float = 30.0
    MAIL_RETRY_LONGEST: float = 3600.0
    # Days for which the list of mails is kept.
    MAIL_KEPT_DAYS: int = 90


settings = NotificationsSettings()
