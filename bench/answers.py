"""Answers through the API: what a kept one costs, whether identical requests compute once, what those who wait cost others.

    python3 bench/answers.py [--rounds 15] [--waiting 1000] [--identical 500] [--fresh 5]

The processes are those of `manage.py up`: uvicorn, a worker of two processes, a recorder, on SQLite in a temporary
folder; everything is asked over HTTP with an API token.

- *cached*: `POST /api/jobs/?wait=30` of a task whose answer is kept, and of one that returns at once and keeps nothing
  (`demo.echo`), in turns, one after the other on one connection each.
- *identical*: that many requests at once, by httpx, for what no one has asked before and takes two seconds.
- *waiting*: the list of jobs, asked again and again, while no one else asks, and while that many requests wait for jobs
  that no worker takes; in turns.
- *first job*: `detect_spam` on a fresh worker of the queue `ml`, beside the tenth on the same one.
"""

import argparse
import asyncio
import http.client
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings
from bench.surroundings import Child, middle, percentile, spread, table, verdict, wait_for

surroundings.setup()

from jobroom import redis  # noqa: E402
from jobroom.events import heartbeat  # noqa: E402
from jobroom.runner.redis_server import free_port  # noqa: E402

CELERY = [sys.executable, "-m", "celery", "-A", "image", "worker", "--without-gossip", "--without-mingle", "-l", "INFO"]
LAUNCH = "/api/jobs/?wait=30"
PAGE = "/jobs/"
TEXT = "The same question, asked again."


class Room:
    """An installation, and someone who may everything in it."""

    def __init__(self) -> None:
        from django.contrib.auth.models import User
        from django.core.management import call_command
        from django.test import Client

        from jobroom.jobs.tokens import new_token

        call_command("migrate", verbosity=0)
        user = User.objects.create_superuser("bench")
        _, self.token = new_token(user, "bench")
        browser = Client()
        browser.force_login(user)
        self.cookie = browser.cookies["sessionid"].value
        self.port = free_port()
        options = ["--host", "127.0.0.1", "--port", self.port, "--log-level", "warning", "--no-access-log"]
        options += ["--ws-per-message-deflate", "false", "--timeout-graceful-shutdown", "5"]
        self.web = Child("web", [sys.executable, "-m", "uvicorn", *options, "image.asgi:application"])
        self.recorder = Child("recorder", [sys.executable, "-m", "django", "record"])
        self.worker = worker("default", 2)
        wait_for(self._up, 60, "the server answers")

    def _up(self) -> bool:
        try:
            return self.get("/healthz") == 200
        except OSError:
            return False

    def get(self, path: str) -> int:
        """Return the status of a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path, headers={"Cookie": f"sessionid={self.cookie}"})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    @property
    def headers(self) -> dict[str, str]:
        """What a program sends with every request."""
        return {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}

    def stop(self) -> None:
        """Stop all of it."""
        for child in (self.worker, self.web, self.recorder):
            child.stop()


def worker(queue: str, processes: int) -> Child:
    """Return a worker of the queue when it takes jobs."""
    child = Child(f"worker-{queue}", [*CELERY, "-Q", queue, "-n", f"{queue}@bench", "-c", processes])
    wait_for(lambda: _takes(child.popen.pid), 90, f"a worker of {queue} is up")
    return child


def _takes(pid: int) -> bool:
    found = next((w for w in heartbeat.workers() if w.pid == pid), None)
    if found is None or found.starting or found.waiting:
        return False
    return all(held["state"] == "ready" for held in found.resources)


# A kept answer --------------------------------------------------------------------------------------------------------


class Caller:
    """Launches and waits, on one connection that stays open."""

    def __init__(self, room: Room) -> None:
        self.room, self.connection = room, http.client.HTTPConnection("127.0.0.1", room.port, timeout=60)

    def launch(self, task: str, **arguments: object) -> tuple[float, dict]:
        """Return the milliseconds until the answer is read, and the answer."""
        content = json.dumps({"task": task, "arguments": arguments})
        began = time.perf_counter()
        self.connection.request("POST", LAUNCH, content, self.room.headers)
        answer = self.connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1000
        assert answer.status == 200, (answer.status, body)
        return took, json.loads(body)


def cached(room: Room, rounds: int) -> list[list[str]]:
    """Compare a kept answer with a job that does nothing."""
    caller = Caller(room)
    caller.launch("demo.answer_once", text=TEXT, secs=0)
    kept, fresh, ratios = [], [], []
    for _ in range(rounds + 2):
        one = [caller.launch("demo.answer_once", text=TEXT, secs=0) for _ in range(10)]
        other = [caller.launch("demo.echo", text="x") for _ in range(10)]
        assert all(answer["from_cache"] for _, answer in one), one[-1]
        assert all(answer["state"] == "succeeded" and not answer["from_cache"] for _, answer in other), other[-1]
        kept.append(middle([took for took, _ in one]))
        fresh.append(middle([took for took, _ in other]))
        ratios.append(kept[-1] / fresh[-1])
    kept, fresh, ratios = kept[2:], fresh[2:], ratios[2:]  # until both are warm
    measured = f"{spread(ratios)} x ({middle(kept):.1f} ms beside {middle(fresh):.1f} ms)"
    return [["a kept answer, beside a job that does nothing", "0.33 x", measured, verdict(middle(ratios), 1 / 3)]]


# Identical requests ---------------------------------------------------------------------------------------------------


def identical(room: Room, count: int) -> list[list[str]]:
    """Ask the same very often at once."""
    took, answers = asyncio.run(_ask_at_once(room, count))
    from jobroom.jobs.models import Job

    bad = [(status, kind, text[:200]) for status, kind, text in answers if status != 200 or kind != "application/json"]
    for one in bad[:3]:
        print("not as it should be:", one)
    answer = [json.loads(text) for status, _, text in answers if status == 200]
    computed = [one for one in answer if not one["from_cache"]]
    wait_for(
        lambda: Job.objects.filter(label__contains="identical", state="succeeded").count() >= count, 60, "the database"
    )
    attempts = sum(Job.objects.filter(label__contains="identical").values_list("attempts", flat=True))
    return [
        [f"{count} identical requests at once: computed", "1", f"{attempts}", verdict(attempts, 1)],
        ["of these, answers that are no JSON or not 200", "0", f"{len(bad)}", verdict(len(bad), 0)],
        ["of these, said to be computed", "1", f"{len(computed)} (all answered after {took:.1f} s)", ""],
    ]


async def _ask_at_once(room: Room, count: int) -> tuple[float, list[tuple[int, str, str]]]:
    import httpx

    content = json.dumps({"task": "demo.answer_once", "arguments": {"text": f"identical {time.time()}", "secs": 2}})
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=120, base_url=f"http://127.0.0.1:{room.port}") as client:

        async def one() -> tuple[int, str, str]:
            answer = await client.post("/api/jobs/?wait=60", content=content, headers=room.headers)
            return answer.status_code, answer.headers.get("content-type", ""), answer.text

        began = time.perf_counter()
        answers = await asyncio.gather(*(one() for _ in range(count)))
        return time.perf_counter() - began, answers


# Those who wait -------------------------------------------------------------------------------------------------------


def page_times(room: Room, seconds: float) -> list[float]:
    """Return the milliseconds of a page, asked one time after the other."""
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        assert room.get(PAGE) == 200
        times.append((time.perf_counter() - began) * 1000)
    return times


CROWD = """
import asyncio, sys

async def main(port, token, count):
    body = b'{"task": "demo.wait", "arguments": {"secs": 1}, "queue": "heavy"}'
    head = f"POST /api/jobs/?wait=60 HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nAuthorization: Token {token}\\r\\n"
    head += f"Content-Type: application/json\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
    lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    for _, writer in lines:
        writer.write(head.encode() + body)
    while await asyncio.wait([asyncio.create_task(reader.read(15)) for reader, _ in lines]):
        print("answered", flush=True)
        return

asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


class Crowd:
    """Many open requests that wait for jobs which no one takes, from a process of their own."""

    def __init__(self, room: Room, count: int) -> None:
        from jobroom.jobs.models import Job

        self.child = Child("crowd", [sys.executable, "-c", CROWD, room.port, room.token, count])
        waiting = Job.objects.filter(queue="heavy", state="queued")
        wait_for(lambda: self.child.popen.poll() is not None or waiting.count() >= count, 55, "all are launched")
        wait_for(lambda: len(redis.client().pubsub_channels("image:live:job:*")) >= count, 10, "all wait")
        assert self.child.popen.poll() is None, self.child.text()


def waiting(room: Room, count: int, turns: int) -> list[list[str]]:
    """Compare a page beside no one and beside many who wait."""
    from jobroom.jobs.models import Job

    page_times(room, 3)
    alone, beside, threads, memory = [], [], [], []
    for _ in range(turns):
        people = Crowd(room, count)
        time.sleep(3)
        beside += page_times(room, 10)
        threads.append(len(list(Path(f"/proc/{room.web.popen.pid}/task").iterdir())))
        memory.append(room.web.memory())
        assert people.child.popen.poll() is None, "some have been answered meanwhile"
        people.child.stop()
        wait_for(lambda: not redis.client().pubsub_channels("image:live:job:*"), 30, "no one waits")
        time.sleep(1)
        # Their jobs are listed still: what differs is who waits.
        alone += page_times(room, 10)
        Job.objects.filter(queue="heavy").delete()
    rows = []
    for share in (0.5, 0.95):
        one, other = percentile(alone, share), percentile(beside, share)
        measured = f"{other / one:.2f} x ({other:.1f} ms beside {one:.1f} ms)"
        rows.append(
            [f"a page beside {count} who wait, p{share * 100:.0f}", "1.25 x", measured, verdict(other / one, 1.25)]
        )
    rows.append(
        [
            f"threads and memory of the server with {count} who wait",
            "",
            f"{max(threads)}, {max(memory) / 1e6:.0f} MB",
            "",
        ]
    )
    return rows


# The first job --------------------------------------------------------------------------------------------------------


def first_job(rounds: int) -> list[list[str]]:
    """Compare the first `detect_spam` of a fresh worker with its tenth."""
    from celery import current_app

    task = current_app.tasks["detect_spam"]

    def seconds(number: int) -> float:
        began = time.perf_counter()
        # Another message each time: the same one would be answered from cache.
        text = f"Win a prize now, call 0900 {time.monotonic_ns()}{number}"
        task.apply_async([text], queue="ml").get(timeout=60, interval=0.001)
        return (time.perf_counter() - began) * 1000

    firsts, tenths = [], []
    for number in range(rounds + 1):
        child = worker("ml", 1)
        times = [seconds(job) for job in range(10)]
        child.stop()
        if number:  # the sender's own first job is not what is measured
            firsts.append(times[0])
            tenths.append(times[9])
    ratios = [first / tenth for first, tenth in zip(firsts, tenths, strict=True)]
    measured = f"{spread(ratios)} x ({middle(firsts):.1f} ms beside {middle(tenths):.1f} ms)"
    return [["first detect_spam of a fresh worker, beside its tenth", "1.5 x", measured, verdict(middle(ratios), 1.5)]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--identical", type=int, default=500)
    parser.add_argument("--waiting", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--fresh", type=int, default=5)
    parser.add_argument("--only", default="cached,identical,waiting,first")
    options = parser.parse_args()
    room = Room()
    parts = {
        "cached": lambda: cached(room, options.rounds),
        "identical": lambda: identical(room, options.identical),
        "waiting": lambda: waiting(room, options.waiting, options.turns),
        "first": lambda: first_job(options.fresh),
    }
    rows = [["what", "budget", "measured", ""]]
    try:
        for name in options.only.split(","):
            rows += parts[name]()
    finally:
        room.stop()
        print(room.web.text()[-3000:])
    table("Answers", rows)


if __name__ == "__main__":
    main()
