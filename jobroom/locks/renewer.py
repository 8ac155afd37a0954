"""The keeper process: a small child process that renews the locks of its parent.

It is a process and not a thread because a thread stands still while its process computes in C without giving the
interpreter up. It is started by path, knows nothing of Django, and reads JSON lines on its standard input: first the
scripts, then `hold`, `forget` and `bye`. It writes `ready` and, for a lock that is someone else's, `lost <token>`.
"""

import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

LONGEST_PAUSE = 1.0  # seconds between two beats
SHARE_OF_TTL = 10  # beats in the shortest time to live
GATHER = 0.01  # seconds


class Keeper:
    """Renews locks for as long as the process `parent` lives and is still our parent."""

    def __init__(self, parent: int) -> None:
        self.parent = parent
        self.locks: dict[str, dict[str, Any]] = {}
        self.scripts: dict[str, str] = {}
        self.clients: dict[str, redis.Redis] = {}
        self.unread = b""
        self.due = 0.0

    def run(self) -> None:
        """Renew until asked to go, or until the parent is gone; then free what it held."""
        report("ready")
        while self.listen():
            if os.getppid() != self.parent:
                break
            if self.locks and time.monotonic() >= self.due:
                self.beat()
        if self.locks and self.orphaned():
            self.free()

    def pause(self) -> float:
        """Return the seconds between two beats."""
        shortest: float = min(
            (lock["ttl"] / 1000 for lock in self.locks.values()), default=LONGEST_PAUSE * SHARE_OF_TTL
        )
        return min(LONGEST_PAUSE, shortest / SHARE_OF_TTL)

    def listen(self) -> bool:
        """Wait for orders until the next beat is due; return False when there will be no more."""
        # With nothing to keep there is no hurry to notice the death of a parent whose pipe is held open by its forks.
        wait = max(0.0, self.due - time.monotonic()) if self.locks else 5.0
        if not select.select([0], [], [], wait)[0]:
            return True
        # A holder of many short locks must not wake us for each of them: what comes in a row is read at once.
        time.sleep(GATHER)
        data = os.read(0, 65536)
        *lines, self.unread = (self.unread + data).split(b"\n")
        return bool(data) and all(self.obey(json.loads(line)) for line in lines)

    def obey(self, order: dict[str, Any]) -> bool:
        """Carry out one order; return False for the last one."""
        token = order.get("token", "")
        if order["do"] == "scripts":
            self.scripts = order
        elif order["do"] == "hold":
            self.locks[token] = order
            self.due = min(self.due, time.monotonic() + self.pause())
        elif order["do"] == "forget":
            self.locks.pop(token, None)
        else:
            self.locks.clear()
            return False
        return True

    def client(self, url: str) -> redis.Redis:
        """Return the connection to `url`; one try again at once, as after a restart the old connection is dead."""
        if url not in self.clients:
            retry = Retry(NoBackoff(), 1)
            options = {"socket_timeout": 2, "socket_connect_timeout": 2, "decode_responses": True}
            self.clients[url] = redis.Redis.from_url(url, retry=retry, **options)
        return self.clients[url]

    def each(self, script: str, arguments: str) -> dict[str, Any]:
        """Run a script for every lock, one round trip a server; return token → answer of those that answered."""
        answers: dict[str, Any] = {}
        for url in {lock["url"] for lock in self.locks.values()}:
            tokens = [token for token, lock in self.locks.items() if lock["url"] == url]
            pipe = self.client(url).pipeline(transaction=False)
            for token in tokens:
                lock = self.locks[token]
                pipe.eval(self.scripts[script], len(lock["keys"]), *lock["keys"], *lock[arguments])
            # A server that is away is asked again at the next beat.
            with suppress(redis.RedisError, OSError):
                answers.update(zip(tokens, pipe.execute(raise_on_error=False), strict=True))
        return {token: answer for token, answer in answers.items() if isinstance(answer, list)}

    def beat(self) -> None:
        """Renew all locks once, and report which of them are someone else's now."""
        self.due = time.monotonic() + self.pause()
        for token, (ours, _) in self.each("keep", "renewal").items():
            if not int(ours):
                self.locks.pop(token)
                report(f"lost {token}")

    def orphaned(self) -> bool:
        """Return whether the parent is dead, which the kernel shows a moment after it has closed the pipe."""
        end = time.monotonic() + 2
        while os.getppid() == self.parent and time.monotonic() < end:
            time.sleep(0.01)
        return os.getppid() != self.parent

    def free(self) -> None:
        """Release the locks of a dead process; without Redis they expire by themselves."""
        self.each("give", "release")


def report(text: str) -> None:
    """Write a line to the parent; one that does not read any more is noticed elsewhere."""
    with suppress(OSError):
        os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    # Signals to the group or the terminal are for the worker, which may still finish its job under the lock.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(1, False)
    Keeper(int(sys.argv[1])).run()
