"""The project's settings, with times so short that anyone who acts without having read acts at once."""

from image.settings import *  # noqa: F403

JOBROOM = JOBROOM | {"JOBS_HOUSEKEEPING_INTERVAL": 0.2}  # noqa: F405
JOBROOM = JOBROOM | {"JOBS_UNSENT_AFTER": 0.5}
JOBROOM = JOBROOM | {"JOBS_RECORDER_BATCH": 5}
JOBROOM = JOBROOM | {"JOBS_SEND_AHEAD": 0.0}
# A worker stands still for seconds where the machine is busy, and has not vanished.
JOBROOM = JOBROOM | {"WORKERS_RESCUE_MARGIN": 8.0}
JOBROOM = JOBROOM | {"WORKERS_MISSING_AFTER": 1.0}
JOBROOM = JOBROOM | {"HELD_AT_MOST": 2.0}
JOBROOM = JOBROOM | {"SENT_BEFORE": 0.5}
JOBROOM = JOBROOM | {"LOOP_TIMEOUT": 3.0}
if CELERY_BROKER_URL.startswith("redis"):  # noqa: F405
    # Kombu looks for what is older than a second once a second.
    CELERY_BROKER_TRANSPORT_OPTIONS = CELERY_BROKER_TRANSPORT_OPTIONS | {  # noqa: F405
        "visibility_timeout": 1,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    }
