"""Settings under which a worker asks often and waits little."""

from image.settings import *  # noqa: F403 — settings upon settings

COMMON_RESOURCE_CHECK = 0.2
COMMON_RESOURCE_HEALTH = 0.2
COMMON_RESOURCE_RETRY = 0.2
COMMON_RESOURCE_RETRY_MOST = 1.0
COMMON_HEARTBEAT_INTERVAL = 0.2
