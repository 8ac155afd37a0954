"""Messages with a countdown or ETA are kept in Redis until shortly before their time.

Celery sends such a message at once, and a worker holds it, unacknowledged, until its time. Held for longer than the broker
waits for an acknowledgement it is delivered again, and the job runs as often as there were deliveries; a worker that
restarts gives it to another. Here it waits where no one holds it, and one worker after the other looks what is due.

Keys: the sorted set `later` has the job ids by their time (seconds since 1970), the hash `later:messages` the messages.
What is parked until someone lets it go on is in the hash `later:groups` (job → group) and in the set `parked:<group>` too,
and the set `parked` has the groups with jobs. Every script leaves all of them in accord.
A process that sends one claims it for a while first, and takes it away when the broker has it. Who dies in between leaves it
to the next; the worker's start takes care that the job runs once all the same (`dispatch`, see `jobroom.events`).
"""

import base64
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from celery import Celery, signals
from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu.exceptions import KombuError, OperationalError
from kombu.serialization import dumps as serialized
from kombu.utils.json import dumps, loads

from jobroom import redis
from jobroom.conf import settings
from jobroom.lua_scripts import source

logger = logging.getLogger(__name__)

# Seconds after which a message that someone claimed and did not send is claimed by another.
LEASE = 30.0
# Messages that are claimed at once.
CHUNK = 100
# Seconds between two looks for what is due.
PAUSE = 1.0

_KEEP, _CLAIM, _DONE, _MOVE, _REMOVE, _PARK, _UNPARK = (
    source("jobroom.celery", name) for name in ("delay", "claim", "done", "move", "remove", "park", "unpark")
)


def _keys() -> list[str]:
    return [redis.key("later"), redis.key("later", "messages"), redis.key("later", "groups"), redis.key("parked")]


def due_at(eta: Any, app: Celery) -> float | None:
    """Return the time of a message's header `eta` in seconds since 1970, None for one without or one that is no time."""
    if not eta:
        return None
    try:
        moment: Any = maybe_iso8601(eta)
        return float(maybe_make_aware(moment, app.timezone).timestamp())
    except (TypeError, ValueError, AttributeError, OverflowError):
        return None  # the worker says what is wrong with it


def is_late(due: float) -> bool:
    """Return whether a message for that time is kept here; one for soon goes to a worker, which starts it on the dot."""
    # By the clock here: a question to Redis for each message with a time would cost more than a second off does.
    return due > time.time() + settings.HELD_AT_MOST


def keep(due: float, body: Any, options: Mapping[str, Any]) -> bool:
    """Keep what is published, with the options of kombu's `Producer.publish`, until its time.

    Returns False for what cannot be written down as JSON. Raises kombu's OperationalError while Redis is away.
    """
    try:
        content_type, encoding, payload = serialized(body, options.get("serializer"))
        text = dumps(_written(content_type, encoding, payload, options))
    except (TypeError, ValueError, KombuError):
        return False
    try:
        redis.script(_KEEP)(_keys(), [options["headers"]["id"], due, text], client=redis.client())
    except (redis.Error, OSError) as error:
        raise OperationalError(str(error)) from error
    return True


# Options of `publish` that are about this one call, or that are written in another way.
_OWN = frozenset(
    {"exchange", "declare", "serializer", "retry", "retry_policy", "timeout", "confirm_timeout", "headers"}
)


def _written(content_type: str, encoding: str, payload: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    exchange = options.get("exchange")
    binary = isinstance(payload, bytes)
    return {
        "body": base64.b64encode(payload).decode() if binary else payload,
        "binary": binary,
        "content_type": content_type,
        "content_encoding": encoding,
        "exchange": getattr(exchange, "name", exchange) or "",
        "queues": [queue.name for queue in options.get("declare") or ()],
        "headers": options["headers"],
        "options": {name: value for name, value in options.items() if name not in _OWN and value is not None},
    }


# Scores of what waits without a time, above every time: these seconds are added to the moment from which it waits.
PARKED = 1e11


def park(message: Any, group: str, held: str) -> bool:
    """Keep a message that a worker has received until `unpark` of its group; raises the errors of Redis.

    Returns False, and keeps nothing, where the hash with the key `held` has no field of that name any more.
    """
    text = written(message)
    keys = [*_keys(), held]
    values = [message.headers["id"], text, PARKED + time.time(), group]
    return bool(redis.script(_PARK)(keys, values, client=redis.client()))


def keep_text(job: str, due: float, text: str) -> None:
    """Keep a message as `written` gives it until its time; raises the errors of Redis."""
    redis.script(_KEEP)(_keys(), [job, due, text], client=redis.client())


def written(message: Any) -> str:
    """Return a message that a worker has received as it is kept here."""
    body, info, properties = message.body, message.delivery_info, message.properties
    binary = isinstance(body, bytes)
    kept = ("priority", "correlation_id", "reply_to", "expiration")
    return dumps({
        "body": base64.b64encode(body).decode() if binary else body,
        "binary": binary,
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "exchange": info.get("exchange") or "",
        "queues": [],
        "headers": message.headers,
        "options": {
            "routing_key": info.get("routing_key") or "",
            **{name: properties[name] for name in kept if properties.get(name) is not None},
        },
    })  # fmt: skip


def unpark(group: str) -> int:
    """Let all messages of a group go on, in the order in which they came; return how many."""
    script, keys, found = redis.script(_UNPARK), _keys(), 0
    while number := int(script(keys, [CHUNK, PARKED, group], client=redis.client())):
        found += number
    return found


def groups_parked() -> set[str]:
    """Return the groups of which messages wait."""
    return set(redis.client().smembers(redis.key("parked")))  # type: ignore[arg-type]


def parked(group: str) -> int:
    """Return how many messages of a group wait."""
    return int(redis.client().scard(_parked_key(group)))


def _parked_key(group: str) -> str:
    return redis.key("parked", group)


def remove(*jobs: str) -> None:
    """Forget the messages of jobs that are not wanted any more."""
    if jobs:
        redis.script(_REMOVE)(_keys(), jobs, client=redis.client())


def kept(jobs: list[str]) -> set[str]:
    """Return those of the jobs whose message is kept here."""
    if not jobs:
        return set()
    scores: Any = redis.client().zmscore(_keys()[0], jobs)
    return {job for job, score in zip(jobs, scores, strict=True) if score is not None}


def all_kept() -> set[str]:
    """Return all jobs whose message is kept here."""
    found: Any = redis.client().zrange(_keys()[0], 0, -1)
    return {str(job) for job in found}


def release(app: Celery, client: redis.Client | None = None) -> int:
    """Send the messages whose time is near; return how many. Raises the errors of Redis and of the broker."""
    client = client or redis.client()
    now = redis.now(client)
    claimed: Any = redis.script(_CLAIM)(_keys(), [now + settings.SENT_BEFORE, now + LEASE, CHUNK], client=client)
    pairs = list(zip(claimed[::2], claimed[1::2], strict=True))
    if not pairs:
        return 0
    messages = [(job, text, loads(text)) for job, text in pairs]
    for job, text, message in messages:
        if "list" in message:
            redis.script(_MOVE)(_keys(), [job, text, message["list"], message["raw"]], client=client)
    if others := [each for each in messages if "list" not in each[2]]:
        _publish_all(app, client, others)
    return len(pairs)


def _publish_all(app: Celery, client: redis.Client, messages: list[tuple[str, str, dict[str, Any]]]) -> None:
    with app.connection_for_write() as connection, connection.Producer() as producer:
        for job, text, message in messages:
            _publish(app, producer, message)
            redis.script(_DONE)(_keys(), [job, text], client=client)


def _publish(app: Celery, producer: Any, message: dict[str, Any]) -> None:
    body = base64.b64decode(message["body"]) if message["binary"] else message["body"]
    producer.publish(
        body,
        content_type=message["content_type"],
        content_encoding=message["content_encoding"],
        exchange=message["exchange"],
        headers=message["headers"],
        declare=[app.amqp.queues[name] for name in message["queues"]],
        **message["options"],
    )


class Sender(threading.Thread):
    """Sends what is due, in a worker's main process, over connections of its own: the pool may fork at any moment."""

    def __init__(self, app: Celery) -> None:
        super().__init__(name="delayed", daemon=True)
        self.app = app
        self.stopped = threading.Event()
        self.client = redis.connect()

    def run(self) -> None:
        """Look what is due until it is stopped; while Redis or the broker is away, that waits."""
        away = False
        while not self.stopped.wait(PAUSE):
            try:
                while release(self.app, self.client) == CHUNK and not self.stopped.is_set():
                    pass
                away = False
            except (redis.Error, KombuError, OSError) as error:
                if not away:
                    logger.warning("Messages for later wait: %s", error)
                away = True


_sender: Sender | None = None


def _start(sender: Any, **_: Any) -> None:
    global _sender  # noqa: PLW0603 — one a worker
    if _sender is None:
        _sender = Sender(sender.app)
        _sender.start()


def _stop(**_: Any) -> None:
    if _sender is not None and _sender.is_alive():
        _sender.stopped.set()
        _sender.join(timeout=5)


def connect() -> None:
    """Connect to the worker's life; twice is the same as once."""
    signals.worker_ready.connect(_start, dispatch_uid="jobroom.celery.delayed")
    signals.worker_shutting_down.connect(_stop, dispatch_uid="jobroom.celery.delayed")
