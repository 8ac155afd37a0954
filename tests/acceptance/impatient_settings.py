"""The project's settings, with short waits."""

from image.settings import *  # noqa: F403

JOBS_HOUSEKEEPING_INTERVAL = 0.5
WORKERS_CANCEL_GRACE = 1.0
