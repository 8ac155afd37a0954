"""The project's settings, with a fair queue, and workers whose silence is noticed soon."""

from image.settings import *  # noqa: F403

JOBROOM = JOBROOM | {  # noqa: F405
    "FAIR_QUEUES": ["ml"],
    "HEARTBEAT_INTERVAL": 0.5,
    "HEARTBEAT_TIMEOUT": 6.0,
    "JOBS_HOUSEKEEPING_INTERVAL": 1.0,
    "WORKERS_RESCUE_MARGIN": 600.0,
}
