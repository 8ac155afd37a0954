"""The project's settings, with jobs that were not sent looked for soon."""

from image.settings import *  # noqa: F403

JOBROOM = JOBROOM | {"JOBS_HOUSEKEEPING_INTERVAL": 0.5, "JOBS_UNSENT_AFTER": 2.0}  # noqa: F405
