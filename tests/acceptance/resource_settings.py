"""Settings under which a worker asks often and waits little."""

from image.settings import *  # noqa: F403 — settings upon settings

JOBROOM = JOBROOM | {"RESOURCE_CHECK": 0.2}  # noqa: F405
JOBROOM = JOBROOM | {"RESOURCE_HEALTH": 0.2}
JOBROOM = JOBROOM | {"RESOURCE_RETRY": 0.2}
JOBROOM = JOBROOM | {"RESOURCE_RETRY_MOST": 1.0}
JOBROOM = JOBROOM | {"HEARTBEAT_INTERVAL": 0.2}
