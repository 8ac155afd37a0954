"""Runs one verb on one mesh file in a child process that may break without breaking the worker."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from assets.conf import settings
from assets.exceptions import AssetFailed

Progress = Callable[[float, float, str], None]
# Seconds between two words about a step that takes long.
_SIGN_OF_LIFE = 2.0
_CHILD = Path(__file__).parent / "geometry" / "child.py"


def _quiet(done: float, of: float, text: str) -> None:
    return None


def run(
    verb: str,
    source: Path,
    file_type: str,
    folder: Path,
    options: dict[str, Any] | None = None,
    progress: Progress = _quiet,
) -> dict[str, Any]:
    """Return what the child answers: `facts` and the names of the `files` it made in `folder`.

    Raises AssetFailed with a sentence for the person who uploaded the file when it is damaged, or needs more memory or
    time than allowed; whatever happens to the child, the caller lives.
    """
    request = {
        "verb": verb,
        "source": str(source),
        "format": file_type,
        "folder": str(folder),
        "options": options or {},
        "memory": settings.MEMORY,
        "seconds": settings.CPU_SECONDS,
        "parent": os.getpid(),
    }
    # -I: neither the environment nor the current folder chooses what the child imports.
    child = subprocess.Popen(
        [sys.executable, "-I", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"},
        start_new_session=True,
    )
    try:
        return _converse(child, json.dumps(request).encode(), progress)
    finally:
        _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def _converse(child: "subprocess.Popen[bytes]", request: bytes, progress: Progress) -> dict[str, Any]:
    if child.stdin is None or child.stdout is None or child.stderr is None:
        raise AssetFailed("The process that reads the mesh could not be started.")
    with contextlib.suppress(BrokenPipeError):  # it ended at once; its errors say why
        child.stdin.write(request)
        child.stdin.flush()
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    errors, rest = b"", b""
    story = _Story(progress)
    for data, is_error in _output(child.stdout, child.stderr):
        if is_error:
            errors = (errors + data)[-4000:]
            continue
        story.wait()
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            answer = _take(json.loads(line), story)
            if answer is not None:
                return answer
    raise AssetFailed(_why(child.wait(), errors.decode(errors="replace")))


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


def _output(out: IO[bytes], errors: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield what the child writes, and whether it is an error, until it ends; nothing every second while it is silent.

    Raises AssetFailed when it takes too long.
    """
    deadline = time.monotonic() + settings.SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(out, selectors.EVENT_READ)
        selector.register(errors, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssetFailed(f"The mesh took longer than {settings.SECONDS:.0f} s. Simplify it before uploading.")
            ready = selector.select(timeout=min(1.0, left))
            if not ready:
                yield b"", False
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                if data:
                    yield data, key.fileobj is errors
                else:
                    selector.unregister(key.fileobj)


def _take(message: dict[str, Any], story: _Story) -> dict[str, Any] | None:
    """Return the answer if `message` is the last one."""
    if "progress" in message:
        story.tell(*message["progress"])
        return None
    if "problem" in message:
        raise AssetFailed(message["problem"])
    answer: dict[str, Any] = message["done"]
    return answer


def _why(status: int, errors: str) -> str:
    """Return the reason for the child's end without an answer."""
    if status == -signal.SIGXCPU or status == -signal.SIGKILL:
        return f"The mesh needs more than {settings.CPU_SECONDS} s of work. Simplify it before uploading."
    if "MemoryError" in errors or "bad_alloc" in errors or "allocate" in errors.lower():
        return f"The mesh needs more than {settings.MEMORY // 2**20} MB of memory. Simplify it before uploading."
    last = errors.strip().splitlines()[-1:] or [f"status {status}"]
    return f"The program that reads meshes broke on this file ({last[0][:200]}). Export it anew, perhaps as PLY."
