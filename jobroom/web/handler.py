"""Serves Django from a few permanent threads; a request that waits holds none.

Django's own ASGI handler starts a thread for each request, passes between it and the event loop for every middleware, and
keeps it until the request has ended. A thousand requests at once are then a thousand threads with a thousand connections
to the database, of which SQLite lets one write at a time, and refuses those that never get their turn.

Here a request goes through all of Django in one go, in one of SERVER_THREADS threads, and requests queue for them
in the order of their arrival. The threads keep their connections to the database as `CONN_MAX_AGE` says. What those do who
have waited has threads of its own: when a thousand waits end at once, a page does not queue behind them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import response_for_exception
from django.db import close_old_connections, connections
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.urls import get_script_prefix, set_script_prefix

from jobroom.conf import settings

P = ParamSpec("P")
T = TypeVar("T")

# Gives the real answer, in the event loop, while no thread is held.
Later = Callable[[], Awaitable[HttpResponseBase]]
# Makes another answer of one, such as a compressed one.
Change = Callable[[HttpResponseBase], HttpResponseBase]
# The attribute of requests that says that an answer may be given later, that of answers that are, and what is done to those.
_MAY_WAIT = "answer_may_wait"
_LATER = "answer_later"
_CHANGES = "changes_later"

# Threads for those who have waited.
_LATE_THREADS = 2

# Bytes of one piece of a stream.
_PIECE = 1 << 16

# The threads in which the request of this context looks for its later answer.
_threads: ContextVar[ThreadPoolExecutor | None] = ContextVar("jobroom.web.handler.threads", default=None)


def answer_later(request: HttpRequest, now: HttpResponseBase, later: Later) -> bool:
    """Let `later` give the answer to the request, in place of `now`; return False where the server cannot do that.

    The server asks `later` when the view and all middleware are through and the thread is free again.
    """
    if not getattr(request, _MAY_WAIT, False):
        return False
    setattr(now, _LATER, later)
    return True


def change_later(now: HttpResponseBase, change: Change) -> bool:
    """Let middleware change the answer that is given in place of `now`, in a thread; return False where `now` is the answer."""
    if not hasattr(now, _LATER):
        return False
    setattr(now, _CHANGES, [*getattr(now, _CHANGES, ()), change])
    return True


def has_threads() -> bool:
    """Return whether `in_thread` has threads of a server at hand."""
    return _threads.get() is not None


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `function` returns, which runs in one of the server's threads; elsewhere, where Django's calls run."""
    threads = _threads.get()
    if threads is None:
        return await sync_to_async(function)(*args, **kwargs)
    return await _in(threads, function, *args, **kwargs)


async def _in(threads: ThreadPoolExecutor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    # What `sync_to_async` does besides, for functions that go back to the event loop, costs more than all of this.
    call = partial(_connected, get_script_prefix(), function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(threads, copy_context().run, call)


def _connected(prefix: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call the function below the prefix; a connection to the database that is broken or too old is not used, nor left behind."""
    set_script_prefix(prefix)  # Django keeps it for each thread, also where the context is a copy
    close_old_connections()
    try:
        return function(*args, **kwargs)
    finally:
        close_old_connections()


class _Here(Executor):
    """Runs in the event loop the little that Django does around a request: it signals that one begins and ends.

    The threads see to their connections to the database themselves, and there are none here.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Call the function at once."""
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 — the caller that awaits it gets it
            done.set_exception(error)
        return done


class Handler(ASGIHandler):
    """Django as an ASGI application with a fixed number of threads."""

    def __init__(self) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(settings.SERVER_THREADS, thread_name_prefix="request")
        self._late = ThreadPoolExecutor(_LATE_THREADS, thread_name_prefix="late")
        self._around = _Here()

    def load_middleware(self, is_async: bool = False) -> None:
        """Load the middleware for a thread: each request passes between event loop and thread once."""
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        _threads.set(self._late)
        async with ThreadSensitiveContext(executor=self._around):
            await self.handle(scope, receive, send)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Return the answer; when the client hangs up, Django cancels this, also while it waits."""
        setattr(request, _MAY_WAIT, True)
        now = await _in(self._threads, self.get_response, request)
        later: Later | None = getattr(now, _LATER, None)
        if later is None:
            return _readable(now)
        await sync_to_async(now.close)()
        try:
            return await _changed(now, _in_place_of(now, await later()))
        except Exception as error:  # noqa: BLE001 — the outermost boundary of a request, as Django's own
            return await in_thread(response_for_exception, request, error)

    def close(self) -> None:
        """Let the threads end; for programs that go on without the server."""
        self._threads.shutdown()
        self._late.shutdown()


# What is said of a body, or of an answer that is not the one that was waited for.
_ITS_OWN = frozenset({"Content-Length", "Content-Encoding", "ETag", "Location"})


def _in_place_of(now: HttpResponseBase, answer: HttpResponseBase) -> HttpResponseBase:
    """Return `answer` with what the middleware has put upon `now`."""
    for name, value in now.items():
        if name not in _ITS_OWN:
            answer.headers.setdefault(name, value)
    answer.cookies.update(now.cookies)
    return answer


async def _changed(now: HttpResponseBase, answer: HttpResponseBase) -> HttpResponseBase:
    """Return `answer` as the middleware wants it that has asked for it."""
    changes: list[Change] = getattr(now, _CHANGES, [])
    for change in changes:
        answer = await in_thread(change, answer)
    return answer


def _readable(answer: HttpResponseBase) -> HttpResponseBase:
    """Return the answer with a stream that the event loop may read.

    What makes its pieces may ask the database, which the loop must not wait for; Django would read it all before it sent any.
    """
    if isinstance(answer, StreamingHttpResponse) and not answer.is_async:
        answer.streaming_content = _pieces(iter(cast("Iterator[bytes]", answer.streaming_content)))
    return answer


async def _pieces(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the content as fast as it is taken, made in one thread: a cursor of the database belongs to the one that opened it.

    The thread is its own, as it ends with the slowest client.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="stream")
    try:
        while piece := await loop.run_in_executor(thread, copy_context().run, _next_piece, content):
            yield piece
    finally:
        await asyncio.shield(loop.run_in_executor(thread, _end, content))
        thread.shutdown(wait=False)


def _next_piece(content: Iterator[bytes]) -> bytes:
    """Return the next of about _PIECE bytes, empty at the end: a piece for each row would change threads for each."""
    found, size = [], 0
    for each in content:
        found.append(each)
        size += len(each)
        if size >= _PIECE:
            break
    return b"".join(found)


def _end(content: Iterator[bytes]) -> None:
    with contextlib.suppress(AttributeError):
        content.close()  # type: ignore[attr-defined]
    connections.close_all()
