"""Makes workers and messages as they are in Redis, without a worker."""

import json
from typing import Any

from celery import current_app

from jobroom import events, redis
from jobroom.events import heartbeat

# Seconds by which the heartbeat of a living worker is ahead.
BEATS = 600.0


def worker(instance: str, *, silent: float | None = None, ahead: float | None = None, **data: Any) -> str:
    """Let the worker process `instance` have its last heartbeat `silent` seconds ago; return its name.

    Without a silence it beats for the length of a test, however long this process is kept waiting meanwhile. Its clock was
    `ahead` seconds ahead of the server's when it beat.
    """
    client = redis.client()
    beat = redis.now(client) + (BEATS if silent is None else -silent)
    says = {
        "instance": instance,
        "name": instance.partition("/")[0],
        "host": "test",
        "pid": 1,
        "queues": ["default"],
        "pool": "prefork",
        "concurrency": 2,
        "started": 1.0,
        "held": [],
        "tags": [],
        **({} if ahead is None else {"clock": beat + ahead}),
        **data,
    }
    client.set(heartbeat.data_key(instance), json.dumps(says))
    client.zadd(heartbeat.index_key(), {instance: beat})
    return instance


def received(task: str, job: str, **options: Any) -> str:
    """Send a message and let someone receive it who never acknowledges it; return its delivery tag."""
    current_app.send_task(task, (), {}, task_id=job, ignore_result=True, **options)
    return receive()


def receive() -> str:
    """Let someone receive the next message who never acknowledges it; return its delivery tag."""
    with current_app.connection_for_read() as connection:
        channel: Any = connection.channel()
        message = channel.basic_get("default")
        channel.qos._delivered.clear()  # a killed process puts nothing back
        return str(message.delivery_tag)


def waiting(queue: str = "default") -> list[str]:
    """Return the jobs whose messages wait in the queue, the next one first."""
    texts: Any = redis.client().lrange(queue, 0, -1)
    return [json.loads(text)["headers"]["id"] for text in reversed(texts)]


def unacknowledged() -> int:
    """Return how many messages are received and not acknowledged."""
    number: Any = redis.client().hlen("unacked")
    return int(number)


def reported(job: str) -> list[dict[str, Any]]:
    """Return the events of a job, without those of its launch and its mails."""
    entries: Any = redis.client().xrange(events.stream())
    found = [json.loads(fields["e"]) for _, fields in entries]
    return [event for event in found if event["job"] == job and event["type"] not in {"queued", "mail"}]
