"""The servers that `bench/live_push.py` measures, and the clients that listen to them with a minimal reader of frames."""

import asyncio
import base64
import os
import sys
import time

from bench import surroundings
from bench.live_programs import PUBLISHER
from bench.surroundings import Child

JOB = "3f1f8a6e-0000-4000-8000-0000000000%02d"


class Target:
    """One server: where it listens, and on which channel it hears."""

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
