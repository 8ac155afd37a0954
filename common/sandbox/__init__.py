"""Runs work on a stranger's file in a child process that may break without breaking the worker.

The child is a script that calls `common.sandbox.child.serve`. It gets limited memory, processor time and waiting time, none
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
from typing import IO, Any

from common.exceptions import JobFailed

Progress = Callable[[float, float, str], None]
# Seconds between two words about a step that takes long.
_SIGN_OF_LIFE = 2.0


def quiet(done: float, of: float, text: str) -> None:
    """Stand in for a task's `progress` where there is no job."""


@dataclasses.dataclass(frozen=True)
class Sandbox:
    """A script for one kind of file, what it may use, and how its end is told to the person whose file it is."""

    script: Path
    memory: int  # bytes of address space
    cpu_seconds: int  # of processor time
    seconds: float  # of waiting, whatever the child does
    subject: str  # what is read, as a sentence begins: "The mesh"
    smaller: str  # what to do about a file that is too much: "Simplify it before uploading."
    anew: str  # what to do about one on which the program broke: "Export it anew."
    error: type[JobFailed] = JobFailed

    def run(self, request: Mapping[str, Any], folder: Path, progress: Progress = quiet) -> dict[str, Any]:
        """Return the script's answer to `request`; it works in `folder` and tells `progress` how it goes.

        Raises `error` with a sentence for a person when the file is damaged, or needs more memory or time than allowed;
        whatever happens to the child, the caller lives. `progress` may raise, and ends the child by that.
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
        limits = {"memory": self.memory, "seconds": self.cpu_seconds, "parent": os.getpid()}
        try:
            return self._converse(child, json.dumps({**request, **limits}).encode(), progress)
        finally:
            _end(child)

    def _converse(self, child: "subprocess.Popen[bytes]", request: bytes, progress: Progress) -> dict[str, Any]:
        if child.stdin is None or child.stdout is None or child.stderr is None:
            raise self.error(f"{self.subject} could not be read: the process for it was not started.")
        with contextlib.suppress(BrokenPipeError):  # it ended at once; its errors say why
            child.stdin.write(request)
            child.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        errors, rest = b"", b""
        story = _Story(progress)
        for data, is_error in self._output(child.stdout, child.stderr):
            if is_error:
                errors = (errors + data)[-4000:]
                continue
            story.wait()
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                answer = self._take(json.loads(line), story)
                if answer is not None:
                    return answer
        raise self.error(self._why(child.wait(), errors.decode(errors="replace")))

    def _output(self, out: IO[bytes], errors: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
        """Yield what the child writes, and whether it is an error, until it ends; nothing every second while it is silent."""
        deadline = time.monotonic() + self.seconds
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            selector.register(errors, selectors.EVENT_READ)
            while selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self.error(f"{self.subject} took longer than {self.seconds:.0f} s. {self.smaller}")
                ready = selector.select(timeout=min(1.0, left))
                if not ready:
                    yield b"", False
                for key, _ in ready:
                    data = os.read(key.fd, 65536)
                    if data:
                        yield data, key.fileobj is errors
                    else:
                        selector.unregister(key.fileobj)

    def _take(self, message: dict[str, Any], story: "_Story") -> dict[str, Any] | None:
        """Return the answer if `message` is the last one."""
        if "progress" in message:
            story.tell(*message["progress"])
            return None
        if "too_large" in message:
            raise self.error(self._too_large())
        if "problem" in message:
            raise self.error(message["problem"])
        answer: dict[str, Any] = message["done"]
        return answer

    def _why(self, status: int, errors: str) -> str:
        """Return the reason for the child's end without an answer."""
        if status == -signal.SIGXCPU or status == -signal.SIGKILL:
            return f"{self.subject} needs more than {self.cpu_seconds} s of work. {self.smaller}"
        if "MemoryError" in errors or "bad_alloc" in errors or "allocat" in errors.lower():
            return self._too_large()
        last = errors.strip().splitlines()[-1:] or [f"status {status}"]
        return f"{self.subject} broke the program that reads it ({last[0][:200]}). {self.anew}"

    def _too_large(self) -> str:
        return f"{self.subject} needs more than the {self.memory // 2**20} MB that one job may use. {self.smaller}"


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


class _Story:
    """Passes the child's progress on, and says now and then that a long step goes on.

    That call is also where somebody's wish to cancel is noticed.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.last: tuple[float, float, str] | None = None
        self.since = self.told = time.monotonic()

    def tell(self, done: float, of: float, text: str) -> None:
        """Pass on what the child says."""
        self.last = (done, of, text)
        self.since = self.told = time.monotonic()
        self.progress(done, of, text)

    def wait(self) -> None:
        """Say for how long the last step has taken, every two seconds."""
        now = time.monotonic()
        if self.last is not None and now - self.told >= _SIGN_OF_LIFE:
            self.told = now
            done, of, text = self.last
            self.progress(done, of, f"{text}, {now - self.since:.0f} s")
