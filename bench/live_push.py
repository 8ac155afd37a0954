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
import base64
import json
import os
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings
from bench.surroundings import FOLDER, Child, middle, spread, table, verdict, wait_for

JOB = "3f1f8a6e-0000-4000-8000-0000000000%02d"
ONE, HUNDRED, DELIVERIES = 1.7, 2.0, 5.0
# So long, in seconds, may the server work on a flood.
PATIENCE = 120.0

PUBLISHER = """
import json, sys, time
import redis
url, channel, count, rate, kind, form, job = sys.argv[1:]
client = redis.Redis.from_url(url)
pack = None
if form == "pubsub":
    import msgpack
    pack = lambda text: msgpack.packb({"type": "tick", "d": text})
base, due = int(time.time() * 1000) * 4096, time.monotonic()
began = time.monotonic()
for number in range(int(count)):
    if float(rate):
        due += 1 / float(rate)
        time.sleep(max(0.0, due - time.monotonic()))
    text = json.dumps({"seq": base + number, "type": kind, "job": job, "at": time.monotonic(), "execution": "x",
                       "fraction": number / int(count), "current": number, "total": int(count),
                       "message": "Reading rows", "level": "info", "stage": ""}, separators=(",", ":"))
    client.publish(channel, pack(text) if pack else text)
print(time.monotonic() - began)
"""

DIRECT = """
import asyncio, os
import redis.asyncio
sockets, started = set(), []

async def listen():
    client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=None)
    pubsub = client.pubsub()
    await pubsub.subscribe("direct:p")
    async for message in pubsub.listen():
        if message["type"] == "message":
            event = {"type": "websocket.send", "text": message["data"].decode()}
            for queue in list(sockets):
                queue.put_nowait(event)

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] != "websocket":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
        return
    if not started:
        started.append(asyncio.ensure_future(listen()))
        await asyncio.sleep(0.3)
    await receive()
    queue = asyncio.Queue()
    sockets.add(queue)
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "{}"})
    async def pump():
        while True:
            await send(await queue.get())
    task = asyncio.ensure_future(pump())
    try:
        while (await receive())["type"] != "websocket.disconnect":
            pass
    finally:
        sockets.discard(queue)
        task.cancel()
"""

PUBSUB = """
import os
from django.conf import settings
settings.configure(SECRET_KEY="x", INSTALLED_APPS=[], CHANNEL_LAYERS={"default": {
    "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [os.environ["REDIS_URL"]]}}})
import django
django.setup()
from channels.generic.websocket import AsyncWebsocketConsumer

class Progress(AsyncWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add("p", self.channel_name)
        await self.accept()
        await self.send("{}")
    async def disconnect(self, code):
        await self.channel_layer.group_discard("p", self.channel_name)
    async def tick(self, event):
        await self.send(event["d"])

sockets = Progress.as_asgi()

async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await sockets(scope, receive, send)
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
"""


class Target:
    """One server: where it listens, and on which channel it is told."""

    def __init__(self, name: str, application: str, channel: str, env: dict[str, str], hello: list[str]) -> None:
        from jobroom.runner.redis_server import free_port

        self.name, self.channel, self.hello, self.env = name, channel, hello, env
        self.port = free_port()
        argv = [sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--port", self.port, "--log-level", "warning"]
        self.child = Child(name, [*argv, "--ws-per-message-deflate", "false", application], env)
        self.cookie = ""

    def up(self) -> bool:
        """Return whether it answers."""
        import httpx

        if self.child.popen.poll() is not None:
            raise SystemExit(f"{self.name} ended\n{self.child.text()}")
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    async def publish(self, count: int, rate: float, kind: str = "progress") -> float:
        """Publish from a process of its own; return the seconds that it took."""
        form = "pubsub" if self.name == "pubsub" else "plain"
        url = surroundings.redis_url(self.env["_NUMBER"])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PUBLISHER, url, self.channel, str(count), str(rate), kind, form, JOB % 1),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **self.env},
        )
        out, _ = await process.communicate()
        return float(out)


class Socket(asyncio.Protocol):
    """A client with a minimal reader of frames; keeps the time of each event and the last text."""

    def __init__(self, target: Target, sink: list[tuple[float, float]]) -> None:
        self.target, self.sink = target, sink
        self.buffer, self.up, self.last, self.closed = b"", False, b"", False
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        """Ask for the socket."""
        self.transport = transport
        host = f"127.0.0.1:{self.target.port}"
        lines = [
            "GET /ws/live/ HTTP/1.1",
            f"Host: {host}",
            f"Origin: http://{host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
            f"Cookie: {self.target.cookie}",
        ]
        transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def data_received(self, data: bytes) -> None:
        """Take the frames in the data."""
        now = time.monotonic()
        data = self.buffer + data
        if not self.up:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.buffer = data
                return
            if b" 101 " not in data[:20]:
                raise SystemExit(f"{self.target.name} refused the socket: {data[:80]!r}")
            self.up, data = True, data[end + 4 :]
            for text in self.target.hello:
                body = text.encode()
                head = (
                    bytes([0x81, 0x80 | len(body)]) if len(body) < 126 else b"\x81\xfe" + len(body).to_bytes(2, "big")
                )
                self.transport.write(head + b"\0\0\0\0" + body)
        while len(data) >= 2:
            kind, size, start = data[0] & 15, data[1] & 127, 2
            if size == 126:
                if len(data) < 4:
                    break
                size, start = int.from_bytes(data[2:4], "big"), 4
            elif size == 127:
                if len(data) < 10:
                    break
                size, start = int.from_bytes(data[2:10], "big"), 10
            if len(data) < start + size:
                break
            body, data = data[start : start + size], data[start + size :]
            if kind == 1:
                self._text(now, body)
            elif kind == 9:
                self.transport.write(bytes([0x8A, 0x80 | size]) + b"\0\0\0\0" + body)
        self.buffer = data

    def _text(self, now: float, body: bytes) -> None:
        if not self.ready.done():
            self.ready.set_result(None)  # the first message: the snapshot, or the peer's hello
            return
        # Several messages in one frame are a list; to parse it would cost the reader more than the server's work.
        for message in body.split(b"},{") if body[:1] == b"[" else [body]:
            self._one(now, message)

    def _one(self, now: float, body: bytes) -> None:
        at = body.find(b'"at":')
        if at < 0 or b'"beat"' in body[:20] or b'"snapshot"' in body:
            return
        self.last = body
        text = body[at + 5 : at + 30]
        self.sink.append((now, float(text.partition(b",")[0].partition(b"}")[0])))

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end."""
        self.closed = True


async def connect(target: Target, count: int, sink: list[tuple[float, float]]) -> list[Socket]:
    """Open so many sockets, each having got its first message."""
    loop, sockets = asyncio.get_running_loop(), []
    for start in range(0, count, 25):
        batch = [
            (await loop.create_connection(lambda: Socket(target, sink), "127.0.0.1", target.port))[1]
            for _ in range(min(25, count - start))
        ]
        await asyncio.wait_for(asyncio.gather(*(one.ready for one in batch)), 60)
        sockets += batch
    return sockets


async def until_quiet(sink: list, seconds: float = 0.5, wanted: int = 0) -> None:
    """Return when nothing has come for so long, or all that was wanted is there."""
    size, since = -1, time.monotonic()
    while time.monotonic() - since < seconds and not (wanted and len(sink) >= wanted):
        if len(sink) != size:
            size, since = len(sink), time.monotonic()
        await asyncio.sleep(0.02)


def delays(sink: list[tuple[float, float]]) -> list[float]:
    """Return the milliseconds from publishing to receiving."""
    return [(got - sent) * 1000 for got, sent in sink]


async def one_browser(targets: list[Target], rounds: int) -> dict[str, list[float]]:
    """Return the medians of each round: one client of the `websockets` library, 60 messages a second."""
    import redis.asyncio
    import websockets

    found: dict[str, list[float]] = {target.name: [] for target in targets} | {"subscriber": []}

    async def read(target: Target, socket, sink) -> None:
        async for text in socket:
            now = time.monotonic()
            if '"at":' in text:
                told = json.loads(text)
                several = told if isinstance(told, list) else [told]
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
    # Those that were too slow are told the state again; what only a PUBLISH says meanwhile is in no database. The server may
    # work on the flood for longer than any silence that one would wait for, so the last state is what is waited for.
    began = time.monotonic()
    while (lacking := sum(b'"current":19,' not in one.last for one in sockets)) and time.monotonic() < began + PATIENCE:
        await target.publish(20, 20)
        await until_quiet(sink, 1.0)
    missing, told = missing + lacking, time.monotonic() - began
    closed = sum(one.closed for one in sockets)
    for one in sockets:
        one.transport.abort()
    mega = 1024 * 1024
    return [
        (f"{count} sockets opened, each with its snapshot", f"{opened:.1f} s", "", "", ""),
        ("memory of the server: empty, with the sockets", f"{before / mega:.0f}, {idle / mega:.0f} MB", "", "", ""),
        ("after three bursts of 2000 states", f"{after_burst / mega:.0f} MB", "", "", ""),
        ("after 20000 log lines, 50 of the sockets not reading", f"{stalled / mega:.0f} MB", "", "", ""),
        ("a new state known to all of them after", f"{told:.0f} s", "", "", ""),
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
    """Make the database with a job in it and somebody who may watch; return the cookie."""
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
    told = "" if limit is None else f"{limit} x"
    at_least = unit == "/s"
    shown = "" if limit is None else verdict(ratio, limit, at_least=at_least)
    return (
        name,
        f"{spread(values['ours'], digits)} {unit}",
        f"{ratio:.2f} x of {against} ({spread(values[against], digits)})",
        told,
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
