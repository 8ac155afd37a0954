"""Refuses request bodies that are too large before anything of them is kept; Django itself reads all of a body first."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


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
            await _refuse(send, most)
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


async def _refuse(send: Send, most: int) -> None:
    problem = {
        "type": "about:blank",
        "title": "Content Too Large",
        "status": 413,
        "detail": f"The body is too large: at most {most:,} bytes are taken (JOBS_MAX_UPLOAD).",
    }
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(problem).encode()})
