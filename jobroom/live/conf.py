"""Options of the live app."""

from jobroom.conf import JobroomSettings


class LiveSettings(JobroomSettings):
    """Options of the push to browsers."""

    prefix = "LIVE"

    # Seconds between two signs of life on an open socket; a page that misses three says that it is stale.
    BEAT_INTERVAL: float = 10.0
    # Most messages that wait for one slow browser; beyond it gets a fresh snapshot instead.
    OUTBOX_LIMIT: int = 500
    # Pages that may open a socket with our cookie, such as ["https://jobs.example.org"]; none: SITE_URL, those of
    # CSRF_TRUSTED_ORIGINS, and the address that the request was sent to.
    ORIGINS: list[str] = []
    # Seconds after which the rights of an open socket are looked at again at the latest.
    RECHECK_INTERVAL: float = 25.0
    # Most sockets that one person may have open with one web process.
    SOCKETS_LIMIT: int = 50
    # Most topics that one socket may watch.
    TOPICS_LIMIT: int = 200


settings = LiveSettings()
