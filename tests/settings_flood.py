"""The project's settings, with early second attempts to send a mail."""

from image.settings import *  # noqa: F403 — all of them

JOBROOM = JOBROOM | {"NOTIFICATIONS_MAIL_RETRY_FIRST": 1.0}  # noqa: F405
JOBROOM = JOBROOM | {"JOBS_HOUSEKEEPING_INTERVAL": 0.5}
