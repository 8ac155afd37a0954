"""Is the last state of a job ever lost when the job floods its page? Real events, a real recorder, many sockets.

    python3 bench/live_burst.py [--sockets 1000] [--lines 20000] [--stalled 50]

One uvicorn process, one recorder, and a process that writes the events of one job as a worker does: it starts, logs
`--lines` lines as fast as it can with a state of progress after every hundred, and succeeds. All sockets watch that
job; `--stalled` of them do not read until it is over. Counted are the sockets whose last word on the state of the job,
by an event or by a snapshot, is not *succeeded*, and those whose last number of progress is not the last one; measured
are the time until every socket knows the end, and the server's memory. A minute with the defaults on a quiet machine.
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import live_push, surroundings
from bench.live_push import JOB, Socket, Target
from bench.surroundings import Child, table, verdict, wait_for

# So long may the server take until everyone knows the end.
PATIENCE = 300.0
MEGA = 1024 * 1024

JOB_OF_ITS_OWN = """
import sys, time
import django
django.setup()
from jobroom import events
job, lines = sys.argv[1], int(sys.argv[2])
run = {"execution": "burst"}
events.emit("started", job, task="bench.noop", worker="default@bench", instance="i/1", pid=1, queue="default", **run)
began = time.monotonic()
for number in range(lines):
    events.emit("log", job, level="info", message=f"Line {number} of {lines}", obj="", **run)
    if number % 100 == 99:
        done = number + 1
        events.emit("progress", job, fraction=done / lines, current=done, total=lines, message="", stage="", **run)
events.emit("finished", job, state="succeeded", runtime=time.monotonic() - began, result=None, holder="", **run)
print(time.monotonic() - began)
"""


class Viewer(Socket):
    """A socket that keeps the newest state and number of progress that it was sent."""

    state, current = "", 0

    def _text(self, now: float, body: bytes) -> None:
        heard = json.loads(body)
        for one in heard if isinstance(heard, list) else [heard]:
            self._learn(one)
        if not self.ready.done():
            self.ready.set_result(None)

    def _learn(self, heard: dict) -> None:
        kind = heard.get("type")
        if kind in {"state", "snapshot"}:
            self.state = heard.get("state") or self.state
            self.current = (heard.get("progress") or {}).get("current") or self.current
        elif kind == "progress":
            self.current = heard.get("current") or self.current


async def open_all(target: Target, count: int) -> list[Viewer]:
    """Open so many sockets, each having got its snapshot."""
    loop, viewers = asyncio.get_running_loop(), []
    for start in range(0, count, 25):
        batch = [
            (await loop.create_connection(lambda: Viewer(target, []), "127.0.0.1", target.port))[1]
            for _ in range(min(25, count - start))
        ]
        await asyncio.wait_for(asyncio.gather(*(one.ready for one in batch)), 120)
        viewers += batch
    return viewers


async def burst(target: Target, asked: argparse.Namespace) -> list[tuple[object, ...]]:
    """Open the sockets, let the job run, and see what each of them was sent."""
    empty = target.child.memory()
    viewers = await open_all(target, asked.sockets)
    idle, most = target.child.memory(), 0
    for one in viewers[: asked.stalled]:
        one.transport.pause_reading()
    job = Child("job", [sys.executable, "-c", JOB_OF_ITS_OWN, JOB % 1, asked.lines], target.env)
    while job.popen.poll() is None:
        most = max(most, target.child.memory())
        await asyncio.sleep(0.1)
    if job.popen.returncode:
        raise SystemExit(job.text())
    ended = time.monotonic()
    for one in viewers[: asked.stalled]:
        one.transport.resume_reading()
    ignorant = viewers
    while ignorant and time.monotonic() < ended + PATIENCE:
        await asyncio.sleep(0.05)
        most = max(most, target.child.memory())
        ignorant = [one for one in viewers if one.state != "succeeded"]
    heard = time.monotonic() - ended
    await asyncio.sleep(2)  # an older word that came after the newest would show now
    ignorant = [one for one in viewers if one.state != "succeeded"]
    behind = sum(one.current != asked.lines for one in viewers)
    closed = sum(one.closed for one in viewers)
    for one in viewers:
        one.transport.abort()
    took = float(job.text())
    memory = " → ".join(f"{value / MEGA:.0f}" for value in (empty, idle, most))
    return [
        ("what", "measured", "budget", ""),
        (f"{asked.lines} log lines written in", f"{took:.1f} s ({asked.lines / took:.0f}/s)", "", ""),
        ("sockets that do not know the end", len(ignorant), 0, verdict(len(ignorant), 0)),
        ("sockets whose last progress is not the last", behind, 0, verdict(behind, 0)),
        ("sockets that were closed", closed, 0, verdict(closed, 0)),
        ("all know the end after", f"{heard:.1f} s", "", ""),
        ("memory of the server: empty → with the sockets → most", f"{memory} MB", "", ""),
    ]


def start() -> tuple[Target, Child]:
    """Start the server and the recorder."""
    cookie, database = live_push.prepare()
    env = {"REDIS_URL": surroundings.redis_url(1), "DATABASE_URL": database, "_NUMBER": "1"}
    hello = [json.dumps({"subscribe": f"job:{JOB % 1}", "after": None})]
    target = Target("ours", "image.asgi:application", "", env, hello)
    target.cookie = cookie
    recorder = Child("recorder", [sys.executable, "-m", "django", "record"], env)
    wait_for(target.up, 60, "the server answers")
    return target, recorder


async def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sockets", type=int, default=1000)
    options.add_argument("--lines", type=int, default=20_000)
    options.add_argument("--stalled", type=int, default=50, help="sockets that do not read until it is over")
    asked = options.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))
    target, recorder = await asyncio.to_thread(start)
    table("The end of a job that floods its page", await burst(target, asked))
    for child in (target.child, recorder):
        if text := child.text():
            print(f"{child.log.stem} printed:\n{text[-1500:]}")
        child.stop()


if __name__ == "__main__":
    asyncio.run(main())
