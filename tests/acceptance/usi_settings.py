"""The project's settings with short pauses, for workers that are to meet an outage of USI."""

from image.settings import *  # noqa: F403

BIOSAMPLE_USI_PAUSE = 0.01
BIOSAMPLE_RETRY_PAUSE = 0.1
JOBROOM = JOBROOM | {"LOCK_TTL": 2.0}  # noqa: F405
