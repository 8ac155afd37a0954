"""The lock holder's side of the keeper process: starts it, sends it the locks to renew, and receives which were lost."""

import atexit
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobroom.exceptions import TaskError
from jobroom.locks import scripts

logger = logging.getLogger(__name__)

PROGRAM = Path(__file__).with_name("renewer.py")
# Seconds that a keeper may need to come up on a busy machine before the holder goes on without having heard of it.
START_TIME = 10.0


class KeeperFailed(TaskError):
    """The process that renews locks does not start, so no lock can be held safely."""


def _line(order: Mapping[str, Any]) -> bytes:
    return json.dumps(order).encode() + b"\n"


class Child:
    """The keeper process and the two pipes to it; raises OSError if it cannot be started."""

    def __init__(self) -> None:
        their_orders, self.orders = os.pipe()
        self.answers, their_answers = os.pipe()
        os.set_blocking(self.answers, False)
        try:
            # A process group of its own, so that Ctrl-C and the signals of a supervisor do not reach it.
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM), str(os.getpid())],
                stdin=their_orders,
                stdout=their_answers,
                process_group=0,
            )
        except OSError:
            self.close_pipes()
            raise
        finally:
            os.close(their_orders)
            os.close(their_answers)

    def write(self, line: bytes) -> None:
        """Give an order; raise BrokenPipeError if it has ended."""
        while line:
            line = line[os.write(self.orders, line) :]

    def read(self) -> bytes | None:
        """Return what it has written, empty if it has ended, None if it has nothing to say."""
        try:
            return os.read(self.answers, 65536)
        except BlockingIOError:
            return None

    def wait(self, seconds: float) -> None:
        """Return when it has something to say, or after `seconds`."""
        if not hasattr(select, "poll"):  # eventlet takes it away: it would hold up all greenlets
            select.select([self.answers], [], [], max(0.0, seconds))
            return
        poll = select.poll()
        poll.register(self.answers, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)

    def close_pipes(self) -> None:
        """Hang up."""
        os.close(self.orders)
        os.close(self.answers)

    def end(self) -> None:
        """Hang up and wait until it has ended."""
        self.close_pipes()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def disown(self) -> None:
        """Let go of it in a forked process: it is the parent's child."""
        self.close_pipes()
        self.process.returncode = 0


class Keeping:
    """The one keeper of this process and the locks that it renews."""

    def __init__(self) -> None:
        # Re-entrant: a lock that is garbage-collected says so, and that may happen in the middle of any of these.
        self.guard = threading.RLock()
        self.orders: dict[str, bytes] = {}
        self.lost: set[str] = set()
        self.child: Child | None = None
        self.unread = b""

    def hold(self, token: str, order: Mapping[str, Any]) -> None:
        """Have the lock `token` renewed from now on; raise KeeperFailed if no one does."""
        with self.guard:
            self.orders[token] = _line({"do": "hold", "token": token, **order})
            try:
                if not self._write(self.orders[token]):
                    self._start()
            except KeeperFailed:
                del self.orders[token]
                raise

    def forget(self, token: str) -> None:
        """Have the lock `token` renewed no more."""
        with self.guard:
            self.lost.discard(token)
            if self.orders.pop(token, None) and not self._write(_line({"do": "forget", "token": token})):
                self._restart()

    def is_lost(self, token: str) -> bool:
        """Return whether the keeper found that `token` is no longer the owner; costs no round trip."""
        with self.guard:
            if not self._read():
                self._restart()
            return token in self.lost

    def close(self) -> None:
        """End the keeper; locks that are still held expire."""
        with self.guard:
            self.orders.clear()
            self._write(_line({"do": "bye"}))
            self._end()

    def abandon(self) -> None:
        """Let go of what belongs to the parent of this forked process."""
        if self.child is not None:
            self.child.disown()

    def _start(self) -> None:
        try:
            child = self.child = Child()
        except OSError as error:
            raise KeeperFailed(f"The process that renews locks does not start: {error}") from error
        self.unread = b""
        first = _line({"do": "scripts", "keep": scripts.RENEW, "give": scripts.RELEASE})
        if not all(self._write(line) for line in [first, *self.orders.values()]):
            raise KeeperFailed
        self._wait_until_ready(child)

    def _restart(self) -> None:
        self._end()
        if self.orders:
            logger.warning("The process that renews locks has ended; starting another.")
            self._start()

    def _wait_until_ready(self, child: Child) -> None:
        end = time.monotonic() + START_TIME
        while time.monotonic() < end:
            child.wait(end - time.monotonic())
            data = child.read()
            if data == b"":
                self._end()
                raise KeeperFailed
            # It says so in one write, and first.
            if data is not None:
                self._understand(data)
                return
        logger.warning("The process that renews locks is not up after %s s.", START_TIME)

    def _write(self, line: bytes) -> bool:
        if self.child is None:
            return False
        try:
            self.child.write(line)
        except BrokenPipeError:
            self._end()
            return False
        return True

    def _read(self) -> bool:
        """Take in all that the keeper has said; return whether it lives, or was never started."""
        if self.child is None:
            return True
        # Its last words come before its end, and a process forked beside it may hold the pipe open after its end.
        while data := self.child.read():
            self._understand(data)
        return data is None and self.child.process.poll() is None

    def _understand(self, data: bytes) -> None:
        *lines, self.unread = (self.unread + data).split(b"\n")
        for word, _, token in (line.decode().partition(" ") for line in lines):
            if word == "lost" and token in self.orders:
                del self.orders[token]
                self.lost.add(token)

    def _end(self) -> None:
        child, self.child = self.child, None
        if child is not None:
            child.end()


_keeping = Keeping()


def keeping() -> Keeping:
    """Return the keeper of this process."""
    return _keeping


def _after_fork() -> None:
    global _keeping
    inherited, _keeping = _keeping, Keeping()
    inherited.abandon()


os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _at_exit() -> None:
    _keeping.close()
