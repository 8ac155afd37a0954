"""What gevent and eventlet change: threads that are greenlets, and how to have one of the system's own all the same."""

import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

# Celery's pools that run jobs in greenlets of the worker's own process.
POOLS = frozenset({"gevent", "eventlet"})


def library() -> str:
    """Return which of the two has replaced the threads of this process; empty if none has."""
    gevent: Any = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("socket"):
        return "gevent"
    eventlet: Any = sys.modules.get("eventlet.patcher")
    return "eventlet" if eventlet is not None and eventlet.is_monkey_patched("socket") else ""


def start_thread(run: Callable[[], object]) -> None:
    """Run something in a thread of the operating system, which goes on while a greenlet computes; nothing waits for its end."""
    if library() == "gevent":
        from gevent import monkey  # noqa: PLC0415 — only where it is installed, and used

        monkey.get_original("_thread", "start_new_thread")(run, ())
        return
    _original("threading").Thread(target=run, daemon=True).start()


def sleep(seconds: float) -> None:
    """Sleep in such a thread, without the loop of greenlets."""
    if library() == "gevent":
        from gevent import monkey  # noqa: PLC0415

        monkey.get_original("time", "sleep")(seconds)
        return
    _original("time").sleep(seconds)


def _original(name: str) -> Any:
    """Return a module of the standard library as it is without eventlet."""
    if library() != "eventlet":
        return importlib.import_module(name)
    from eventlet import patcher  # noqa: PLC0415

    return patcher.original(name)


def frames() -> Iterator[tuple[str, FrameType]]:
    """Yield the innermost frame of each greenlet that is not running, with a name; of none where there are no greenlets."""
    module: Any = sys.modules.get("greenlet")
    if module is None:
        return
    for found in gc.get_objects():
        if issubclass(type(found), module.greenlet) and found.gr_frame is not None:  # a dead proxy may not be asked
            yield f"greenlet {id(found):#x}", found.gr_frame


def ends_greenlet(error: BaseException, limit: float | None) -> bool:
    """Return whether the pool ends a job's greenlet by this error: it was killed, or its hard time limit of so many seconds is over."""
    module: Any = sys.modules.get("greenlet")
    if module is not None and isinstance(error, module.GreenletExit):
        return True
    gevent: Any = sys.modules.get("gevent")
    is_timeout = gevent is not None and isinstance(error, gevent.Timeout)
    return is_timeout and bool(limit) and getattr(error, "seconds", None) == limit
