"""A queue of a million: its page, one message from its middle, a move and a purge, and how long each held Redis up.

    python3 bench/queues.py [messages]

While the work goes on another client asks Redis for the time without a pause: the longest that it waited is what anyone would
have. Redis's own slow log says how long the slowest command took.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings

surroundings.setup()

from django.core.management import call_command  # noqa: E402

from image.celery import app  # noqa: E402
from jobroom import redis  # noqa: E402
from jobroom.celery import queue_messages  # noqa: E402
from jobroom.conf import settings  # noqa: E402
from jobroom.queues import broker, queue_rows  # noqa: E402
from jobroom.queues.decoded import decode  # noqa: E402

# Asks Redis without a pause, in a process of its own, and writes the longest wait in milliseconds when its input ends.
_BYSTANDER = """
import sys, threading, time, redis
client, longest, ended = redis.Redis.from_url(sys.argv[1]), 0.0, threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
client.ping()
print("ready", flush=True)
while not ended.is_set():
    began = time.perf_counter()
    client.ping()
    longest = max(longest, (time.perf_counter() - began) * 1e3)
    time.sleep(0.0005)
print(longest, flush=True)
"""


def measured(name: str, work: Callable[[], Any]) -> None:
    """Do the work and print its seconds and what it cost others."""
    client = redis.client()
    client.config_set("slowlog-log-slower-than", 1000)
    client.slowlog_reset()
    argv = [sys.executable, "-c", _BYSTANDER, settings.REDIS_URL]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as bystander:
        assert bystander.stdout is not None
        bystander.stdout.readline()
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        longest = float(bystander.communicate()[0])
    slow: Any = client.slowlog_get(100)
    slowest: Any = max(
        slow, key=lambda entry: entry["duration"], default={"duration": 0, "command": b"none under 1 ms"}
    )
    worst, command = slowest["duration"] / 1000, str(slowest["command"])[:24]
    print(
        f"{name:<44} {seconds:8.3f} s   slowest command {worst:5.1f} ms ({command})   a bystander waited {longest:5.1f} ms"
    )


def fill(count: int) -> None:
    """Put messages into the queue, each with an id of its own."""
    app.send_task("demo.echo", ["a text of ordinary length"], queue="heavy")
    client = redis.client()
    text: Any = client.lpop("heavy")
    job = queue_messages.job_of(text.encode())
    for start in range(0, count, 5000):
        client.lpush("heavy", *[text.replace(job, f"{n:08d}{job[8:]}") for n in range(start, min(count, start + 5000))])


def take_all(kind: str, target: str = "") -> None:
    """Take all messages out, and put them into another queue where one is named; jobs are the recorder's work."""
    with broker.queues() as found:
        work = queue_messages.new_work(kind, "heavy", by="bench", reason="bench", target=target)
        found.begin(work)
        assert found.turn(work)
        found.take(work, found.depths(["heavy"])["heavy"])
        while texts := found.taken(work, 100):
            if work.target:
                found.put(work, texts)
            else:
                found.done(work, len(texts))
        found.client.delete(queue_messages.moved_key(work.token))
        found.finish(work)
        found.end_turn(work)


def pick(position: int) -> None:
    """Take one message out."""
    with broker.queues() as found:
        (stored,) = found.page("heavy", position, 1)
        work = queue_messages.new_work("delete", "heavy", by="bench", reason="bench")
        assert found.turn(work)
        assert found.pick(work, position, stored.digest)
        found.done(work, 1)


def page(start: int) -> None:
    """Read and decode a page of fifty messages, and the line of the queue."""
    queue_rows.rows("heavy")
    with broker.queues() as found:
        assert len([decode(stored) for stored in found.page("heavy", start, 50)]) == 50


def main() -> None:
    """Print what each costs."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    call_command("migrate", verbosity=0)
    fill(count)
    page(0)
    size: Any = redis.client().memory_usage("heavy")
    print(f"{count:,} messages of {size // count} bytes")
    measured("the first page", lambda: page(0))
    deep = min(queue_messages.DEEPEST, count) - 50
    measured("the deepest page", lambda: page(deep))
    measured("one message, as deep as may be", lambda: pick(min(queue_messages.DEEPEST_PICK, count // 2)))
    measured("a move of all", lambda: take_all("move", "gpu"))
    redis.client().rename("gpu", "heavy")
    measured("a purge of all", lambda: take_all("purge"))


if __name__ == "__main__":
    main()
