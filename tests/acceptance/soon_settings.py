"""The project's settings, with a recorder that looks after workflows often and soon."""

from image.settings import *  # noqa: F403

JOBS_HOUSEKEEPING_INTERVAL = 0.5
WORKFLOWS_SILENT_AFTER = 1.0
