"""The child's side of the sandbox: reads requests from standard input under its limits, and answers in lines of JSON.

For each request any number of `{"progress": [done, of, text]}`, and at the end `{"done": {...}}`, `{"problem": text}` or `{"too_large": true}`. The standard
library alone, so that nothing large is loaded before the limits hold.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_PR_SET_PDEATHSIG = 1  # prctl(2)


class FileProblem(Exception):
    """The file cannot be used; the message says what is wrong and what to do."""


def limit(memory: int, seconds: int) -> None:
    """Limit this process to `memory` bytes of address space, `seconds` of processor time, and no core file."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "darwin":  # accepted there, and without effect
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def die_with(parent: int) -> None:
    """End this process when its parent ends, even by `kill -9`: no one is left to hear the answer."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if sys.platform == "linux":  # there the kernel does it at once, whatever this process is busy with
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def say(**message: Any) -> None:
    """Write one line to the parent."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def serve(work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer each request, a line of standard input, with what `work` returns for it.

    `work` raises FileProblem about the file; the limits are those of the first request.
    """
    for number, line in enumerate(sys.stdin):
        request = json.loads(line)
        if number == 0:
            _prepare(request)
        try:
            say(done=work(request))
        except FileProblem as problem:
            say(problem=str(problem))
        except MemoryError:
            say(too_large=True)


def _prepare(request: dict[str, Any]) -> None:
    die_with(request["parent"])
    # Before any library is loaded: their thread pools would reserve address space for each core.
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    limit(request["memory"], request["seconds"])
