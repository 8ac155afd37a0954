"""Runs a management command so that errors are sentences and never a traceback.

Exit codes are those of all commands: 0 succeeded, 1 failed, 2 wrong usage, 3 cancelled or lost; 130 after Ctrl-C, and 141 when
the reader of the output has closed the pipe, as with any other program.
"""

import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence

FAILED, USAGE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141


def run(argv: Sequence[str]) -> int:
    """Run the command and return its exit code; the option `--traceback` lets unexpected errors through."""
    _write_anything()
    for word in argv:
        if not _is_text(word):
            return _say(f"{os.fsencode(word)!r} is not UTF-8 text.", USAGE)
    from django.core.management import execute_from_command_line

    return guarded(lambda: execute_from_command_line(list(argv)), argv)


def guarded(work: Callable[[], object], argv: Sequence[str]) -> int:
    """Do the work of the command that `argv` names and return its exit code; whatever it raises becomes a sentence."""
    try:
        try:
            return _executed(work)
        finally:
            sys.stdout.flush()  # a closed pipe is to be noticed here, and not while Python ends
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return PIPE_CLOSED
    except Exception as error:  # the boundary of all commands
        if "--traceback" in argv:
            raise
        return _say(explained(error), FAILED)


def _executed(work: Callable[[], object]) -> int:
    from django.core.exceptions import ImproperlyConfigured

    try:
        work()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        return _say(str(ended.code), FAILED)
    except ImproperlyConfigured as problem:
        # Separate from errors of the command: someone else can mend it.
        return _say(str(problem), FAILED)
    return 0


def explained(error: BaseException) -> str:
    """Return what happened and what to do about it, in a line."""
    from django.db import DatabaseError, InterfaceError
    from kombu.exceptions import OperationalError as BrokerError

    from jobroom import exhaustion, redis
    from jobroom.exceptions import RedisUnavailable

    if sentence := exhaustion.sentence(error):
        return sentence
    said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    if isinstance(error, (redis.Error, RedisUnavailable)):
        return f"Redis does not answer: {said}. Is `manage.py up` running, and is REDIS_URL right?"
    if isinstance(error, BrokerError):
        return f"The broker does not answer: {said}. Is it running, and is CELERY_BROKER_URL right?"
    if isinstance(error, (DatabaseError, InterfaceError)):
        if "no such table" in said or "does not exist" in said:
            return f"The database is not prepared: {said}. Run `manage.py migrate`, or `manage.py up`, which does."
        return f"The database does not answer: {said}. Is it running, and is DATABASE_URL right?"
    if isinstance(error, OSError):
        return f"{error.filename or 'The system'}: {error.strerror or said}."
    where = traceback.extract_tb(error.__traceback__)[-1]
    name = type(error).__name__
    return (
        f"{name}: {said} ({where.filename}, line {where.lineno}). This is a fault of ours: --traceback shows all of it."
    )


def _write_anything() -> None:
    """Let a terminal that knows few characters show the others escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _say(text: str, code: int) -> int:
    try:
        sys.stderr.write(f"manage.py: {text}\n")
        sys.stderr.flush()
    except OSError:
        _drop_output()
    return code


def _drop_output() -> None:
    """Let Python end without another word about the closed pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError):  # a stream that is no file cannot fail so either
            continue
