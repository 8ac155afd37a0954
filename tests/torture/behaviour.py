"""What nasty tasks do: each word of the grammar is a function; those that end a job come last in a program."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any

from celery.exceptions import Ignore, Reject

MEGA = 1_000_000


class BadText(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class NoText(Exception):
    def __str__(self):
        return None  # noqa: PLE0307 — that is what it is here for


class BadBoth(Exception):
    def __str__(self):
        raise KeyError("no text")

    __repr__ = __str__


class BadReduce(Exception):
    def __reduce__(self):
        raise RuntimeError("not to be pickled")


class DeadlyReduce(Exception):
    def __reduce__(self):
        return os._exit, (7,)


class TwoWords(ValueError):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class BadArgs(Exception):
    @property
    def args(self):
        raise RuntimeError("no arguments")


class BadEquality(Exception):
    def __eq__(self, other):
        raise RuntimeError("not to be compared")

    def __hash__(self):
        raise RuntimeError("not to be hashed")


class Proud(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")


class Nameless(Exception, metaclass=Proud):
    pass


class Rebel(BaseException):
    pass


class BadJson:
    def __json__(self):
        raise RuntimeError("not to be written")


class DeadlyJson:
    def __json__(self):
        raise SystemExit(5)


class BadRepr:
    def __repr__(self):
        raise RuntimeError("no representation")


class BadReprDict(dict):
    def __repr__(self):
        raise RuntimeError("no representation")


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def _cycle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def _recurse() -> Any:
    return _recurse()


def _chained(length: int) -> Exception:
    error = ValueError("first")
    for number in range(length):
        latest = ValueError(f"number {number}")
        latest.__cause__ = error
        error = latest
    return error


def _foreign() -> Exception:
    """Return an error whose module only this process has."""
    module = types.ModuleType("made_here_alone")
    kind = type("MadeHere", (Exception,), {"__module__": module.__name__})
    vars(module)["MadeHere"] = kind
    sys.modules[module.__name__] = module
    error: Exception = kind("from afar")
    return error


def _local() -> Exception:
    class Local(Exception):
        pass

    return Local("from within")


# What it says before its end --------------------------------------------------------------------------------------------


def _loud_log(task: Any) -> None:
    logging.getLogger("torture").warning("%s", BadRepr())
    logging.getLogger("torture").warning("%d apples", "no number")
    logging.getLogger("torture").info("%s", "x" * 2 * MEGA)


SAYINGS: dict[str, Callable[[Any], object]] = {
    "nothing": lambda task: None,
    "long_line": lambda task: print("x" * 3 * MEGA),  # noqa: T201
    "many_lines": lambda task: print("line\n" * 2000),  # noqa: T201
    "no_newline": lambda task: sys.stdout.write("x" * 70_000),
    "bytes_to_stderr": lambda task: os.write(2, bytes(range(256)) * 40),
    "loud_log": _loud_log,
    "huge_log_line": lambda task: task.log("info", "x" * MEGA, obj="y" * 1000),
    "odd_log_line": lambda task: task.log("warning", BadBoth("x"), obj=BadRepr()),
    "nul_log_line": lambda task: task.log("info", "a\x00b\ud800c"),
    "odd_progress": lambda task: task.progress(1, 3, message=BadBoth("x")),
    "nan_progress": lambda task: task.progress(float("nan"), 3),
    "huge_progress": lambda task: task.progress(10**30, 3, message="x" * MEGA),
    "odd_stage": lambda task: task.stage(BadRepr()).__enter__(),
    "daemon": lambda task: threading.Thread(target=time.sleep, args=(30,), daemon=True).start(),
    "thread": lambda task: threading.Thread(target=time.sleep, args=(1.0,)).start(),
    "thread_that_raises": lambda task: threading.Thread(target=_recurse, daemon=True).start(),
    "elsewhere": lambda task: os.chdir("/"),
    "no_environment": lambda task: os.environ.clear(),
    "no_stdout": lambda task: setattr(sys, "stdout", None),
    "no_collector": lambda task: gc.disable(),
    "deaf": lambda task: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "silent_logs": lambda task: logging.shutdown(),
    "fork": lambda task: os._exit(0) if os.fork() == 0 else None,
}

# How it ends: by a value, an error, a death -------------------------------------------------------------------------------

VALUES: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "nan": lambda: [float("nan"), float("inf")],
    "nested_150": lambda: nested(150),
    "nested_900": lambda: nested(900),
    "nested_100000": lambda: nested(100_000),
    "cycle": _cycle,
    "million": lambda: "x" * MEGA,
    "too_much": lambda: "x" * 17 * MEGA,
    "surrogates": lambda: "a\x00b\ud800c",
    "bytes": lambda: b"\xff\x00",
    "set": lambda: {1, 2},
    "object": object,
    "bad_repr": BadRepr,
    "bad_repr_dict": lambda: BadReprDict(a=1),
    "bad_json": BadJson,
    "deadly_json": DeadlyJson,
    "odd_keys": lambda: {(1, 2): 3},
    "generator": lambda: (n for n in range(3)),
    "huge_number": lambda: 10**5000,
    "error": lambda: BadBoth("returned"),
    "marked": lambda: {"__type__": "uuid", "__value__": 3},
}

ERRORS: dict[str, Callable[[], BaseException]] = {
    "value_error": lambda: ValueError("plain"),
    "no_words": ValueError,
    "bad_text": lambda: BadText("x"),
    "none_text": lambda: NoText("x"),
    "bad_both": lambda: BadBoth("x"),
    "bad_reduce": lambda: BadReduce("x"),
    "deadly_reduce": lambda: DeadlyReduce("x"),
    "two_words": lambda: TwoWords("this", "that"),
    "bad_args": lambda: BadArgs("x"),
    "bad_equality": lambda: BadEquality("x"),
    "nameless": lambda: Nameless("x"),
    "foreign": _foreign,
    "local": _local,
    "five_megabytes": lambda: ValueError("x" * 5 * MEGA),
    "odd_arguments": lambda: ValueError(BadBoth("x"), object(), {1: {2: nested(300)}}),
    "chained": lambda: _chained(2000),
    "group": lambda: ExceptionGroup("several", [ValueError(1), BadText("x")]),
    "surrogates": lambda: ValueError("a\x00b\ud800c"),
    "stop": lambda: StopIteration(3),
    "memory": lambda: MemoryError("none left"),
    "exit": lambda: SystemExit(3),
    "exit_zero": lambda: SystemExit(0),
    "exit_text": lambda: SystemExit("bye"),
    "interrupt": KeyboardInterrupt,
    "generator_exit": GeneratorExit,
    "cancelled": asyncio.CancelledError,
    "rebel": lambda: Rebel("x"),
    "reject": lambda: Reject("unwanted", requeue=False),
}


def _sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


DEATHS: dict[str, Callable[[], object]] = {
    "exit_0": lambda: os._exit(0),
    "exit_1": lambda: os._exit(1),
    "sigkill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "sigsegv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "abort": os.abort,
    "sigterm": _sigterm,
    "no_files": lambda: os.closerange(3, 200),
}


def _ignore(task: Any, what: str) -> Any:
    raise Ignore


def _raise(task: Any, what: str) -> Any:
    raise ERRORS[what]()


def _retry(task: Any, what: str) -> Any:
    raise task.retry(exc=ERRORS[what](), countdown=0, max_retries=1)


def _sleep_on(task: Any, what: str) -> None:
    """Sleep, whatever soft time limits say."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(Exception):
            time.sleep(1)


ENDS: dict[str, Callable[[Any, str], Any]] = {
    "return": lambda task, what: VALUES[what](),
    "raise": _raise,
    "die": lambda task, what: DEATHS[what](),
    "recurse": lambda task, what: _recurse(),
    "ignore": _ignore,
    "sleep": lambda task, what: time.sleep(60),
    "sleep_on": _sleep_on,
    "retry": _retry,
}


def run(task: Any, saying: str, how: str, what: str) -> Any:
    """Do what a program says."""
    SAYINGS[saying](task)
    return ENDS[how](task, what)
