"""A small reverse proxy that shows a server below a path, over HTTP and WebSockets alike."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_HEAD_LIMIT = 64 * 1024


class Proxy:
    """Hands on what is asked for below `prefix`, all else is 404; as it is, or (`strip`) without the prefix."""

    def __init__(self, port: int, *, to: int, prefix: str, strip: bool) -> None:
        self.port, self.to, self.prefix, self.strip = port, to, prefix, strip
        self.strays: list[str] = []  # what was asked for outside of the prefix

    async def serve(self, ready: threading.Event, done: asyncio.Event) -> None:
        """Answer until `done`."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, limit=_HEAD_LIMIT)
        ready.set()
        await done.wait()
        server.close()
        # A browser may connect until the last moment, and what was accepted becomes a task some turns of the loop later.
        for _ in range(10):
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0.02)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                if not f"{path}/".startswith(f"{self.prefix}/"):
                    self.strays.append(path)
                    writer.write(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                else:
                    await self._between(self._changed(head, path), reader, writer)
        finally:
            writer.close()

    def _changed(self, head: bytes, path: str) -> bytes:
        """Return the head of the request as the server gets it; one request a connection, but for sockets."""
        first, *rest = head.split(b"\r\n")
        if self.strip:
            first = first.replace(path.encode(), (path.removeprefix(self.prefix) or "/").encode(), 1)
        if b"upgrade: websocket" not in head.lower():
            rest = [line for line in rest if not line.lower().startswith(b"connection:")]
            rest.insert(0, b"Connection: close")
        return b"\r\n".join([first, *rest])

    async def _between(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", self.to)
        requests.write(head)
        upwards = asyncio.create_task(_pour(reader, requests))
        try:
            await _pour(answers, writer)
        finally:
            upwards.cancel()
            requests.close()


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_HEAD_LIMIT):
            target.write(data)
            await target.drain()


@contextmanager
def running(port: int, *, to: int, prefix: str, strip: bool) -> Iterator[Proxy]:
    """Run a proxy in a thread of its own meanwhile."""
    proxy = Proxy(port, to=to, prefix=prefix, strip=strip)
    ready, loop, done = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(proxy.serve(ready, done)), daemon=True)
    thread.start()
    try:
        assert ready.wait(30), "the proxy does not listen"
        yield proxy
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(30)
        loop.close()
