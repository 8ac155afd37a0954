"""The project's settings, with a recorder that looks after workflows often and soon."""

from image.settings import *  # noqa: F403

JOBROOM = JOBROOM | {"JOBS_HOUSEKEEPING_INTERVAL": 0.5}  # noqa: F405
JOBROOM = JOBROOM | {"WORKFLOWS_SILENT_AFTER": 1.0}
