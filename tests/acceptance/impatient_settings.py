"""The project's settings, with short waits."""

from image.settings import *  # noqa: F403

JOBROOM = JOBROOM | {"JOBS_HOUSEKEEPING_INTERVAL": 0.5}  # noqa: F405
JOBROOM = JOBROOM | {"WORKERS_CANCEL_GRACE": 1.0}
