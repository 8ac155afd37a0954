"""Processes an untrusted file in a child process that may crash without harming the worker.

The child is a script that calls `jobroom.sandbox.child.serve`. It gets limited memory, processor time and waiting time, none
of the worker's environment, and dies with the worker. Parent and child speak JSON, one line a message.
"""

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jobroom.exceptions import JobFailed

Progress = Callable[[float, float, str], None]
# Seconds between two words about a step that takes long.
_SIGN_OF_LIFE = 2.0


def quiet(done: float, of: float, text: str) -> None:
    """Stand in for a task's `progress` where there is no job."""


@dataclasses.dataclass(frozen=True)
class Sandbox:
    """A script for one kind of file, what it may use, and how its end is described to the person whose file it is."""

    script: Path
    memory: int  # bytes of address space
    cpu_seconds: int  # of processor time
    seconds: float  # of waiting, whatever the child does
    subject: str  # what is read, as a sentence begins: "The mesh"
    smaller: str  # what to do about a file that is too much: "Simplify it before uploading."
    remedy: str  # what to do about one on which the program broke: "Export it again."
    error: type[JobFailed] = JobFailed

    def run(self, request: Mapping[str, Any], folder: Path, progress: Progress = quiet) -> dict[str, Any]:
        """Return the script's answer to one `request`; see `Session.ask`."""
        with self.session(folder) as session:
            return session.ask(request, progress)

    @contextlib.contextmanager
    def session(self, folder: Path) -> "Iterator[Session]":
        """Start the script in `folder` for any number of requests; it ends with the block, whatever it is busy with.

        The limits on memory and processor time hold for all requests of a session together.
        """
        # -I: neither the environment nor the current folder chooses what the child imports.
        child = subprocess.Popen(
            [sys.executable, "-I", str(self.script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"},
            start_new_session=True,
        )
        try:
            yield Session(self, child)
        finally:
            _end(child)

    def why(self, status: int, errors: str) -> str:
        """Return the reason for the child's end without an answer, given its exit status and what it wrote as errors."""
        if status == -signal.SIGXCPU or status == -signal.SIGKILL:
            return f"{self.subject} needs more than {self.cpu_seconds} s of work. {self.smaller}"
        if "MemoryError" in errors or "bad_alloc" in errors or "allocat" in errors.lower():
            return self.too_large()
        last = errors.strip().splitlines()[-1:] or [f"status {status}"]
        return f"{self.subject} broke the program that reads it ({last[0][:200]}). {self.remedy}"

    def too_large(self) -> str:
        """Return the sentence about a file that needs more memory than allowed."""
        return f"{self.subject} needs more than the {self.memory // 2**20} MB that one job may use. {self.smaller}"


class Session:
    """A running child that answers one request after the other; what it has read it may keep for the next."""

    def __init__(self, sandbox: Sandbox, child: "subprocess.Popen[bytes]") -> None:
        self.sandbox = sandbox
        self.child = child
        self._errors = b""
        self._rest = b""

    def ask(self, request: Mapping[str, Any], progress: Progress = quiet) -> dict[str, Any]:
        """Return the script's answer to `request`, and pass on to `progress` how it goes.

        Raises the sandbox's `error` with a sentence for a person when the file is damaged, or needs more memory or time
        than allowed; whatever happens to the child, the caller lives. `progress` may raise.
        """
        self._send(request)
        story = _Story(progress)
        for line in self._lines(story):
            answer = self._take(json.loads(line), story)
            if answer is not None:
                return answer
        raise self.sandbox.error(self.sandbox.why(self.child.wait(), self._errors.decode(errors="replace")))

    def _send(self, request: Mapping[str, Any]) -> None:
        if self.child.stdin is None:
            raise self.sandbox.error(f"{self.sandbox.subject} could not be read: the process for it was not started.")
        limits = {"memory": self.sandbox.memory, "seconds": self.sandbox.cpu_seconds, "parent": os.getpid()}
        with contextlib.suppress(BrokenPipeError):  # it ended at once; its errors say why
            self.child.stdin.write(json.dumps({**request, **limits}).encode() + b"\n")
            self.child.stdin.flush()

    def _lines(self, story: "_Story") -> Iterator[bytes]:
        """Yield each line that the child writes, until it ends."""
        for data, is_error in self._output():
            if is_error:
                self._errors = (self._errors + data)[-4000:]
                continue
            story.wait()
            *lines, self._rest = (self._rest + data).split(b"\n")
            yield from lines

    def _output(self) -> Iterator[tuple[bytes, bool]]:
        """Yield what the child writes, and whether it is an error; nothing every second while it is silent."""
        deadline = time.monotonic() + self.sandbox.seconds
        with selectors.DefaultSelector() as selector:
            for pipe in filter(None, (self.child.stdout, self.child.stderr)):
                selector.register(pipe, selectors.EVENT_READ)
            while selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self.sandbox.error(
                        f"{self.sandbox.subject} took longer than {self.sandbox.seconds:.0f} s. {self.sandbox.smaller}"
                    )
                ready = selector.select(timeout=min(1.0, left))
                if not ready:
                    yield b"", False
                for key, _ in ready:
                    data = os.read(key.fd, 65536)
                    if data:
                        yield data, key.fileobj is self.child.stderr
                    else:
                        selector.unregister(key.fileobj)

    def _take(self, message: dict[str, Any], story: "_Story") -> dict[str, Any] | None:
        """Return the answer if `message` is the last one."""
        if "progress" in message:
            story.report(*message["progress"])
            return None
        if "too_large" in message:
            raise self.sandbox.error(self.sandbox.too_large())
        if "problem" in message:
            raise self.sandbox.error(message["problem"])
        answer: dict[str, Any] = message["done"]
        return answer


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            # What it did not read any more is written again by closing, and fails again.
            with contextlib.suppress(OSError):
                pipe.close()


class _Story:
    """Passes the child's progress on, and says now and then that a long step goes on.

    That call is also where someone's wish to cancel is noticed.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.last: tuple[float, float, str] | None = None
        self.since = self.reported = time.monotonic()

    def report(self, done: float, of: float, text: str) -> None:
        """Pass on what the child says."""
        self.last = (done, of, text)
        self.since = self.reported = time.monotonic()
        self.progress(done, of, text)

    def wait(self) -> None:
        """Say for how long the last step has taken, every two seconds."""
        now = time.monotonic()
        if self.last is not None and now - self.reported >= _SIGN_OF_LIFE:
            self.reported = now
            done, of, text = self.last
            self.progress(done, of, f"{text}, {now - self.since:.0f} s")
