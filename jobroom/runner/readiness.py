"""Asks the web process's `/readyz`, without ever blocking the supervisor."""

import errno
import json
import os
import select
import socket
import time
from typing import Any

PATIENCE = 10.0
PAUSE = 0.1


def missing_parts(body: bytes) -> list[str]:
    """Return the names of the parts that the JSON of `/readyz` says are not ready, with what it says of them."""
    try:
        answer = json.loads(body)
    except ValueError:
        return []
    parts = answer.get("parts", answer) if isinstance(answer, dict) else {}
    return [_describe(name, part) for name, part in parts.items() if _is_missing(part)]


def _is_missing(part: Any) -> bool:
    return part is False or (isinstance(part, dict) and part.get("ok") is False)


def _describe(name: str, part: Any) -> str:
    reason = part.get("detail") or part.get("reason") if isinstance(part, dict) else None
    return f"{name} ({reason})" if reason else str(name)


class Question:
    """One GET, asked and answered in as many steps as it takes."""

    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self.unsent = request
        self.answer = b""
        self.deadline = time.monotonic() + PATIENCE
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        error = self.socket.connect_ex(address)
        if error not in {0, errno.EINPROGRESS}:
            self.socket.close()
            raise OSError(error, os.strerror(error))

    def step(self) -> bool:
        """Send and receive what can be without waiting; return whether the answer is complete. Raise OSError if not."""
        if time.monotonic() > self.deadline:
            raise TimeoutError("no answer")
        if self.unsent and not select.select([], [self.socket], [], 0)[1]:
            return False  # not connected yet
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
            while data := self.socket.recv(64 * 1024):
                self.answer += data
        except BlockingIOError:
            return False
        return True


class Probe:
    """One question after the other until the answer is 200; `turn` never waits."""

    def __init__(self, address: tuple[str, int], host: str, path: str = "/readyz") -> None:
        """Take where to connect, and the Host header that the site accepts."""
        self.address = address
        self.request = f"GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        self.ready = False
        self.missing: list[str] = ["web"]
        self._question: Question | None = None
        self._next = 0.0

    def turn(self) -> bool:
        """Go on with the question as far as the network allows now; return whether the answer has ever been 200."""
        if not self.ready and time.monotonic() >= self._next:
            self._go_on()
        return self.ready

    def _go_on(self) -> None:
        try:
            if self._question is None:
                self._question = Question(self.address, self.request)
            elif self._question.step():
                self._read(self._question.answer)
                self.close()
        except OSError as error:
            self.missing = [f"web ({error.strerror or error})"]
            self.close()

    def close(self) -> None:
        """Drop the question."""
        if self._question is not None:
            self._question.socket.close()
            self._question = None
        self._next = time.monotonic() + PAUSE

    def _read(self, answer: bytes) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        status = [*head.split(None, 2), b"", b"nothing"][1].decode(errors="replace")
        self.ready = status == "200"
        self.missing = [] if self.ready else missing_parts(body) or [f"web (/readyz answers {status})"]
