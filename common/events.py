"""What happens to jobs, as events on one Redis stream. Workers write, `manage.py record` reads.

An event is a dict with `type`, `job` (the Celery task id), `at` (seconds since 1970) and what the type needs:

| type       | further keys                                                                                        |
|------------|-----------------------------------------------------------------------------------------------------|
| `queued`   | task, args, kwargs (secrets hidden), queue, eta, retries, priority, source, schedule, parent, root   |
| `started`  | task, retries, execution, worker, instance, pid, queue, may_rerun (+ args, kwargs if never `queued`) |
| `progress` | execution, current, total, message, stage, fraction (0 to 1, None when unknown)                      |
| `log`      | execution, level, message, obj                                                                       |
| `waiting`  | execution, lock, holder: the job went back to its queue until the lock is free                       |
| `retrying` | execution, retries, eta, error, error_type, traceback                                                |
| `finished` | execution, state (succeeded, failed, cancelled, skipped, lost), runtime, result (JSON text), error, error_type, traceback, holder |
| `mail`     | status (sent, failed, grouped), subject, recipients, fingerprint, body, error                        |
| `lock`     | action (broken, lost), lock, holder, by, reason                                                      |

`execution` names one run of the job by one worker; a message delivered twice makes two.
"""

import collections
import json
import logging
import threading
import time
from typing import Any

from common import redis
from common.conf import settings

logger = logging.getLogger(__name__)

Event = dict[str, Any]

# Events that could not be sent go out with the next one; the oldest are given up when Redis stays away.
_unsent: collections.deque[str] = collections.deque(maxlen=10_000)
_lock = threading.Lock()


def stream() -> str:
    """Return the key of the stream."""
    return redis.key("events")


def emit(event_type: str, job: str | None, **data: Any) -> bool:
    """Write one event to the stream; return whether it is there. Bookkeeping never kills work: errors are logged."""
    event = {"type": event_type, "job": job, "at": time.time(), **data}
    try:
        text = json.dumps(event, default=str, separators=(",", ":"))
    except (TypeError, ValueError):
        logger.exception("Event %s of job %s cannot be written as JSON", event_type, job)
        return False
    try:
        _send(text)
    except (redis.Error, OSError) as error:
        _unsent.append(text)
        logger.warning("Event %s of job %s waits for Redis: %s", event_type, job, error)
        return False
    return True


def _send(text: str) -> None:
    client, name, kept = redis.client(), stream(), settings.EVENTS_KEPT
    if not _unsent:
        client.xadd(name, {"e": text}, maxlen=kept, approximate=True)
        return
    with _lock:
        waiting = list(_unsent)
        with client.pipeline(transaction=False) as pipe:
            for line in (*waiting, text):
                pipe.xadd(name, {"e": line}, maxlen=kept, approximate=True)
            pipe.execute()
        _unsent.clear()
