"""From PUBLISH to the browsers' sockets: ours beside a bare ASGI server, a bare Redis subscriber and channels_redis.

    python3 bench/live_push.py [--rounds 5] [--sockets 1000] [--without-peer]

Every server is one uvicorn process; all are up at once and take turns within a round. "direct" is what a hand-written
minimum does: one subscription, a loop over the open sockets, no Channels, no rights. "pubsub" is a Channels consumer in
a group of channels_redis' pubsub layer, installed for this run into a temporary folder; it is published to by one
synchronous PUBLISH in the layer's own format, which is the fastest way to reach it. The clients of the latency with one
browser are the `websockets` library's; where many sockets are counted they are bare sockets with a minimal reader of
frames, so that the program that counts does not limit the rate. Times are CLOCK_MONOTONIC of one machine.
"""

import argparse
import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings
from bench.live_programs import DIRECT, PUBSUB
from bench.live_sockets import JOB, Target, connect, delays, until_quiet
from bench.surroundings import FOLDER, middle, spread, table, verdict, wait_for

ONE, HUNDRED, DELIVERIES = 1.7, 2.0, 5.0
# So long, in seconds, may the server work on a flood.
PATIENCE = 120.0


async def one_browser(targets: list[Target], rounds: int) -> dict[str, list[float]]:
    """Return the medians of each round: one client of the `websockets` library, 60 messages a second."""
    import redis.asyncio
    import websockets

    found: dict[str, list[float]] = {target.name: [] for target in targets} | {"subscriber": []}

    async def read(target: Target, socket, sink) -> None:
        async for text in socket:
            now = time.monotonic()
            if '"at":' in text:
                heard = json.loads(text)
                several = heard if isinstance(heard, list) else [heard]
                sink += [(now, one["at"]) for one in several if one["type"] not in {"beat", "snapshot"}]

    sinks, tasks, sockets = {}, [], []
    for target in targets:
        address = f"ws://127.0.0.1:{target.port}/ws/live/"
        headers = {"Cookie": target.cookie} if target.cookie else {}
        socket = await websockets.connect(
            address, origin=f"http://127.0.0.1:{target.port}", additional_headers=headers, compression=None
        )
        for text in target.hello:
            await socket.send(text)
        first = await socket.recv()
        if "denied" in first:
            raise SystemExit(f"{target.name}: {first}")
        sinks[target.name] = []
        sockets.append(socket)
        tasks.append(asyncio.create_task(read(target, socket, sinks[target.name])))
    direct = next(target for target in targets if target.name == "direct")
    bare: list[tuple[float, float]] = []

    async def subscribe() -> None:
        url = surroundings.redis_url(direct.env["_NUMBER"])
        async with redis.asyncio.Redis.from_url(url, socket_timeout=None) as client, client.pubsub() as pubsub:
            await pubsub.subscribe("bare:p")
            async for message in pubsub.listen():
                if message["type"] == "message":
                    bare.append((time.monotonic(), json.loads(message["data"])["at"]))

    tasks.append(asyncio.create_task(subscribe()))
    await asyncio.sleep(0.5)
    for turn in range(rounds + 1):
        for target in targets:
            sinks[target.name].clear()
            await target.publish(60, 60)
            await until_quiet(sinks[target.name], 0.3)
            if not sinks[target.name]:
                raise SystemExit(f"Nothing arrived from {target.name}\n{target.child.text()[-3000:]}")
            if turn:
                found[target.name].append(middle(delays(sinks[target.name])))
        bare.clear()
        channel, direct.channel = direct.channel, "bare:p"
        await direct.publish(60, 60)
        direct.channel = channel
        await until_quiet(bare, 0.3)
        if turn:
            found["subscriber"].append(middle(delays(bare)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for socket in sockets:
        await socket.close()
    return found


async def hundred(targets: list[Target], rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return, for 100 sockets, the medians of the latency and the deliveries a second in a burst of 300 log lines."""
    sinks, sockets = {}, {}
    for target in targets:
        sinks[target.name] = []
        sockets[target.name] = await connect(target, 100, sinks[target.name])
    latency: dict[str, list[float]] = {target.name: [] for target in targets}
    rates: dict[str, list[float]] = {target.name: [] for target in targets}
    for turn in range(rounds + 1):
        for target in targets:
            sink = sinks[target.name]
            sink.clear()
            await target.publish(20, 20)
            await until_quiet(sink, 0.3)
            if turn:
                latency[target.name].append(middle(delays(sink)))
            sink.clear()
            await target.publish(300, 0, kind="log")
            await until_quiet(sink, 1.0, 30_000)
            if len(sink) < 30_000:
                print(f"{target.name}: {len(sink)} of 30000 arrived")
            if turn:
                rates[target.name].append(len(sink) / (max(sink)[0] - min(sent for _, sent in sink)))
    for many in sockets.values():
        for one in many:
            one.transport.abort()
    return latency, rates


async def thousand(target: Target, count: int) -> list[tuple[object, ...]]:
    """Open so many sockets, send bursts, and see that each has the last state and that memory stays bounded."""
    sink: list[tuple[float, float]] = []
    before = target.child.memory()
    began = time.monotonic()
    sockets = await connect(target, count, sink)
    opened, idle = time.monotonic() - began, target.child.memory()
    missing, spans, states = 0, [], []
    for _ in range(3):
        sink.clear()
        began = time.monotonic()
        await target.publish(2000, 0)
        await until_quiet(sink, 2.0)
        spans.append(max(got for got, _ in sink) - began)
        states.append(len(sink) / count)
        missing += sum(b'"current":1999' not in one.last for one in sockets)
    after_burst = target.child.memory()
    if missing:
        print("the last state of one socket:", next(one.last for one in sockets if b'"current":1999' not in one.last))
    for one in sockets[:50]:
        one.transport.pause_reading()
    for _ in range(4):
        await target.publish(5000, 0, kind="log")
    stalled = target.child.memory()
    for one in sockets[:50]:
        one.transport.resume_reading()
    # Those that were too slow are sent the state again; what only a PUBLISH says meanwhile is in no database. The server may
    # work on the flood for longer than any silence that one would wait for, so the last state is what is waited for.
    began = time.monotonic()
    while (lacking := sum(b'"current":19,' not in one.last for one in sockets)) and time.monotonic() < began + PATIENCE:
        await target.publish(20, 20)
        await until_quiet(sink, 1.0)
    missing, heard = missing + lacking, time.monotonic() - began
    closed = sum(one.closed for one in sockets)
    for one in sockets:
        one.transport.abort()
    mega = 1024 * 1024
    return [
        (f"{count} sockets opened, each with its snapshot", f"{opened:.1f} s", "", "", ""),
        ("memory of the server: empty, with the sockets", f"{before / mega:.0f}, {idle / mega:.0f} MB", "", "", ""),
        ("after three bursts of 2000 states", f"{after_burst / mega:.0f} MB", "", "", ""),
        ("after 20000 log lines, 50 of the sockets not reading", f"{stalled / mega:.0f} MB", "", "", ""),
        ("a new state known to all of them after", f"{heard:.0f} s", "", "", ""),
        ("states that each socket was sent, of 2000", spread(states, 0), "", "", ""),
        ("burst of 2000 states done after", f"{middle(spans):.1f} s", "", "", ""),
        (
            "sockets closed; sockets without the last state",
            f"{closed}; {missing}",
            "",
            "0; 0",
            verdict(missing + closed, 0),
        ),
    ]


def prepare() -> tuple[str, str]:
    """Make the database with a job in it and someone who may watch; return the cookie."""
    surroundings.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    from jobroom.jobs.models import Job, State

    call_command("migrate", verbosity=0)
    user = User.objects.create_superuser("bench")
    Job.objects.create(id=JOB % 1, task="bench.noop", state=State.RUNNING, owner=user, execution="x")
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}", f"sqlite:///{settings.DATABASES['default']['NAME']}"


def start(with_peer: bool) -> list[Target]:
    """Start the servers."""
    cookie, database = prepare()
    (FOLDER / "bench_direct.py").write_text(DIRECT)
    (FOLDER / "bench_pubsub.py").write_text(PUBSUB)
    path = os.pathsep.join([str(FOLDER), str(surroundings.ROOT), str(FOLDER / "peer")])

    def env(number: int, **extra: str) -> dict[str, str]:
        return {"REDIS_URL": surroundings.redis_url(number), "_NUMBER": str(number), "PYTHONPATH": path, **extra}

    hello = [json.dumps({"subscribe": f"job:{JOB % 1}", "after": None})]
    ours = Target("ours", "image.asgi:application", f"image:live:job:{JOB % 1}", env(1, DATABASE_URL=database), hello)
    ours.cookie = cookie
    targets = [ours, Target("direct", "bench_direct:application", "direct:p", env(2), [])]
    if with_peer and install_peer():
        targets.append(Target("pubsub", "bench_pubsub:application", "asgi__group__p", env(3), []))
    for target in targets:
        wait_for(target.up, 60, f"{target.name} answers")
    return targets


def install_peer() -> bool:
    """Install channels_redis into the temporary folder, and say so where that does not work."""
    import subprocess

    argv = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", FOLDER / "peer"]
    done = subprocess.run([*argv, "channels-redis==4.3.0", "msgpack"], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"channels-redis cannot be installed here, so its column is left out: {done.stderr.strip()[-200:]}")
    return done.returncode == 0


def row(name: str, values: dict[str, list[float]], against: str, limit: float | None, unit: str, digits: int = 2):
    """Return one line of the table."""
    ratio = middle([a / b for a, b in zip(values["ours"], values[against], strict=True)])
    heard = "" if limit is None else f"{limit} x"
    at_least = unit == "/s"
    shown = "" if limit is None else verdict(ratio, limit, at_least=at_least)
    return (
        name,
        f"{spread(values['ours'], digits)} {unit}",
        f"{ratio:.2f} x of {against} ({spread(values[against], digits)})",
        heard,
        shown,
    )


async def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--sockets", type=int, default=1000)
    options.add_argument("--without-peer", action="store_true")
    asked = options.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))
    targets = await asyncio.to_thread(start, not asked.without_peer)
    one = await one_browser(targets, asked.rounds)
    many, rates = await hundred(targets, asked.rounds)
    rows = [
        ("what", "ours", "ratio", "budget", ""),
        row("publish → one browser, p50", one, "direct", ONE, "ms"),
        row("the same, beside a subscriber without a socket", one, "subscriber", None, "ms"),
        row("publish → 100 sockets, p50", many, "direct", HUNDRED, "ms"),
        row("deliveries, 100 sockets, burst of 300", rates, "direct", None, "/s", 0),
    ]
    if "pubsub" in rates:
        rows += [
            row("the same", rates, "pubsub", DELIVERIES, "/s", 0),
            row("publish → 100 sockets, p50", many, "pubsub", None, "ms"),
        ]
    rows += await thousand(targets[0], asked.sockets)
    table("Live push", rows)
    for target in targets:
        if text := target.child.text():
            print(f"{target.name} printed:\n{text[-1500:]}")
        target.child.stop()


if __name__ == "__main__":
    asyncio.run(main())
