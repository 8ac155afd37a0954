"""The project's settings with a short window for floods of the same failure, and early second attempts."""

from image.settings import *  # noqa: F403 — all of them

JOBROOM = JOBROOM | {"FAILURE_MAIL_WINDOW": 15.0}  # noqa: F405
JOBROOM = JOBROOM | {"NOTIFICATIONS_MAIL_RETRY_FIRST": 1.0}
JOBROOM = JOBROOM | {"JOBS_HOUSEKEEPING_INTERVAL": 0.5}
