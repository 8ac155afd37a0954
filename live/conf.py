"""Options of the live app."""

from common.conf import AppSettings


class LiveSettings(AppSettings):
    """Options of the push to browsers."""

    prefix = "LIVE"

    # Seconds between two signs of life on an open socket; a page that misses three says that it is stale.
    BEAT_INTERVAL: float = 10.0
    # Most messages that wait for one slow browser; beyond it gets a fresh snapshot instead.
    OUTBOX_LIMIT: int = 500
    # Most topics that one socket may watch.
    TOPICS_LIMIT: int = 200


settings = LiveSettings()
