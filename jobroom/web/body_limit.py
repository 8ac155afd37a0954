"""Refuses request bodies that are too large before reading them; Django itself reads all of a body first."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


# Plain, because it is sent before Django sees the request.
_PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>Too large</title><h1>What you sent is too large</h1>
<p>At most {most:.0f} MB are taken at once, and nothing of it was kept. Go back, your browser still has what you typed, and
choose a smaller file. Who runs this site can raise the limit (JOBS_MAX_UPLOAD).</p></html>"""


class BodyLimit:
    """ASGI application around `inner` that takes bodies of at most `BodyLimit.most()` bytes."""

    # Set by the app that keeps files: how many bytes a body may have.
    most: ClassVar[Callable[[], int]] = staticmethod(lambda: 1 << 30)

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer 413 by what the header says; a body without a stated length is cut off when it grows too long."""
        most = BodyLimit.most()
        if _stated(scope) > most:
            await _refuse(send, most, as_page=_is_browser(scope))
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            return message if taken <= most else {"type": "http.disconnect"}

        await self.inner(scope, counted, send)


def _stated(scope: Message) -> int:
    text = dict(scope["headers"]).get(b"content-length", b"0")
    return int(text) if text.isdigit() else 0


def _is_browser(scope: Message) -> bool:
    return b"text/html" in dict(scope["headers"]).get(b"accept", b"")


async def _refuse(send: Send, most: int, *, as_page: bool) -> None:
    detail = f"The body is too large: at most {most:,} bytes are taken (JOBS_MAX_UPLOAD)."
    if as_page:
        await _answer(send, b"text/html; charset=utf-8", _PAGE.format(most=most / 1024 / 1024).encode())
        return
    problem = {
        "type": "about:blank",
        "title": "Content Too Large",
        "status": 413,
        "detail": detail,
    }
    await _answer(send, b"application/problem+json", json.dumps(problem).encode())


async def _answer(send: Send, kind: bytes, body: bytes) -> None:
    headers = [(b"content-type", kind), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
