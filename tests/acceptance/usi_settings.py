"""The project's settings with short pauses, for workers that are to meet an outage of USI."""

from image.settings import *  # noqa: F403

BIOSAMPLE_USI_PAUSE = 0.01
BIOSAMPLE_RETRY_PAUSE = 0.1
