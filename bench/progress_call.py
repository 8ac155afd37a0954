"""What a call of `self.progress(…)` costs the task that makes it, against one redis-py PUBLISH of the same size.

    python3 bench/progress_call.py [rounds]

One subscriber listens, so that every message is really delivered. Both take turns within each round.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings
from bench.surroundings import Child, middle, spread, table, timed, verdict, wait_for

surroundings.setup()

from django.conf import settings  # noqa: E402
from django.test import override_settings  # noqa: E402

from image.celery import app  # noqa: E402
from jobroom import events, redis  # noqa: E402
from jobroom.celery import tracker  # noqa: E402

CALLS = 400
MILLION = 1_000_000
SENDS, THROTTLED = 1.6, 2.0
JOB = "3f1f8a6e-0000-4000-8000-000000000001"


@app.task(bind=True, name="bench.progress")
def work(self):
    """Stand for a task that runs."""


LISTENER = """
import sys, redis
pubsub = redis.Redis.from_url(sys.argv[1], socket_timeout=None).pubsub()
pubsub.subscribe(sys.argv[2])
size = 0
for message in pubsub.listen():
    if message["type"] == "subscribe":
        print("listens", flush=True)
    elif not size:
        size = len(message["data"])
        print(size, flush=True)
"""


def main():
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    work.push_request(id=JOB, retries=0, args=(), kwargs={})
    work.request.execution = tracker.Execution(id="0123456789abcdef", began=0.0)
    step = iter(range(10**9))

    def ours():
        work.progress(next(step), 10**9, "Reading rows")

    plain, channel = redis.client(), events.channel(JOB)
    listener = Child("listener", [sys.executable, "-c", LISTENER, settings.JOBROOM["REDIS_URL"], channel])
    wait_for(lambda: "listens" in listener.text(), 20, "the listener")
    with override_settings(JOBROOM={"PROGRESS_INTERVAL": -1.0}):
        ours()
    wait_for(lambda: len(listener.text().split()) == 2, 20, "the first message")
    text = "x" * int(listener.text().split()[1])
    with override_settings(JOBROOM={"PROGRESS_INTERVAL": -1.0}):
        timed(ours, 50)
        pairs = [(timed(ours, CALLS), timed(lambda: plain.publish(channel, text), CALLS)) for _ in range(rounds)]
    ratio = middle([a / b for a, b in pairs])

    with override_settings(JOBROOM={"PROGRESS_INTERVAL": 3600.0}):
        ours()
        few = [timed(ours, 10_000) for _ in range(rounds)]
    ours()
    many = timed(ours, MILLION)
    empty = timed(lambda: next(step), 100_000)
    table(
        "A progress call",
        [
            ("what", "µs", "ratio", "budget", ""),
            (f"redis-py PUBLISH of {len(text)} bytes", spread([b for _, b in pairs], 0), "1", "", ""),
            (
                "a call that sends",
                spread([a for a, _ in pairs], 0),
                f"{ratio:.2f} x",
                f"{SENDS} x",
                verdict(ratio, SENDS),
            ),
            ("a throttled call", spread(few), "", f"{THROTTLED} µs", verdict(middle(few), THROTTLED)),
            (
                "each of a million, sending every 0.2 s",
                f"{many:.2f}",
                f"{many / middle(few):.2f} x the throttled one",
                f"{THROTTLED} µs",
                verdict(many, THROTTLED),
            ),
            ("an empty call in the same loop", f"{empty:.2f}", "", "", ""),
        ],
    )


if __name__ == "__main__":
    main()
