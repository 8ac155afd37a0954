"""Traces for OpenTelemetry, which is optional (`pip install django-jobroom[tracing]`): one from the launch to the last attempt.

Celery's official instrumentation makes the spans and sends the header `traceparent` with each message. Here they get
attributes of ours, workflows carry the header too, and no error leaves with a secret in it. Without `TRACING` nothing of it is
loaded; a header that someone else's tracing has put into a message is kept with the job all the same.
"""

import contextlib
import importlib
import importlib.util
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from celery import signals

from jobroom.conf import settings

logger = logging.getLogger(__name__)

HEADER = "traceparent"
# Version, trace, span, flags, of which the last bit says that the trace is kept: https://www.w3.org/TR/trace-context/
_HEADER = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]([0-9a-f])")
_PARTS = ("opentelemetry.trace", "opentelemetry.context", "opentelemetry.trace.propagation.tracecontext")
_INSTRUMENTATION = "opentelemetry.instrumentation.celery"

_trace: Any = None
_context: Any = None
_propagator: Any = None


def is_installed() -> bool:
    """Return whether the extra is installed."""
    try:
        return importlib.util.find_spec(_INSTRUMENTATION) is not None
    except ModuleNotFoundError:
        return False


def is_on() -> bool:
    """Return whether this process makes spans."""
    return _trace is not None


def connect() -> None:
    """Instrument Celery where `TRACING` says so; before the tracker, whose receivers find the spans. Twice is the same as once."""
    global _trace, _context, _propagator  # noqa: PLW0603 — loaded only where it is wanted
    if is_on() or not settings.TRACING or not is_installed():
        return
    instrumentor = importlib.import_module(_INSTRUMENTATION).CeleryInstrumentor()
    as_it_is = getattr(instrumentor, "_trace_failure", None)
    if as_it_is is None:
        logger.error(
            "Nothing is traced: this release of the instrumentation would send errors with the secrets in them."
        )
        return
    _trace, _context, propagation = (importlib.import_module(name) for name in _PARTS)
    _propagator = propagation.TraceContextTextMapPropagator()
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument()
    # It would send the error as it is; `failed` gives the span what the history shows.
    signals.task_failure.disconnect(as_it_is)


def disconnect() -> None:
    """Take the instrumentation off again, for tests."""
    global _trace, _context, _propagator  # noqa: PLW0603 — see connect
    if is_on():
        importlib.import_module(_INSTRUMENTATION).CeleryInstrumentor().uninstrument()
    _trace = _context = _propagator = None


def header_of(value: Any) -> str:
    """Return the value of a header `traceparent`; empty where it is none."""
    return value if isinstance(value, str) and _HEADER.fullmatch(value) else ""


def trace_of(header: str) -> str:
    """Return the id (32 hex digits) of the trace that a header belongs to; empty where that trace is not kept."""
    found = _HEADER.fullmatch(header)
    return found[1] if found and int(found[2], 16) & 1 else ""


def queued(headers: Mapping[str, Any], queue: str) -> dict[str, str]:
    """Describe the span of a launch; return what the event of it says of the trace."""
    if is_on():
        describe(job=headers.get("id"), task=headers.get("task"), queue=queue, attempt=_attempt(headers.get("retries")))
        describe(workflow=headers.get("workflow"), node=headers.get("node"))
    return _said(headers.get(HEADER))


def started(task: Any, request: Any) -> dict[str, str]:
    """Describe the span of a run; return what the event of its start says of the trace."""
    if is_on():
        queue = (request.delivery_info or {}).get("routing_key")
        describe(job=request.id, task=task.name, queue=queue, attempt=_attempt(request.retries))
        describe(workflow=getattr(request, "workflow", None), node=getattr(request, "node", None))
    return _said(getattr(request, HEADER, None))


def _attempt(retries: Any) -> int:
    return int(retries or 0) + 1


def _said(value: Any) -> dict[str, str]:
    header = header_of(value)
    return {HEADER: header} if header else {}


def describe(**attributes: Any) -> None:
    """Give the span that is under way attributes of ours, `jobroom.<name>`; empty ones are left out."""
    if is_on() and (span := _trace.get_current_span()).is_recording():
        span.set_attributes({f"jobroom.{name}": value for name, value in attributes.items() if value not in (None, "")})


def failed(task: Any, exception: BaseException, error: Mapping[str, Any]) -> None:
    """Give the span of a run its error (`error`, `error_type`, `traceback`) without secrets; one that is expected is no failure."""
    if not is_on() or not (span := _trace.get_current_span()).is_recording():
        return
    said = {"type": error["error_type"], "message": error["error"], "stacktrace": error["traceback"]}
    span.add_event("exception", {f"exception.{name}": value for name, value in said.items()})
    if not isinstance(exception, tuple(task.throws)):
        span.set_status(_trace.StatusCode.ERROR, error["error"])


def retried(error: Mapping[str, Any]) -> None:
    """Give the span of a run the reason why there is another attempt, without secrets."""
    if is_on():
        _trace.get_current_span().set_attribute("celery.retry.reason", error["error"])


def current() -> str:
    """Return the header of the span that is under way; empty where there is none."""
    carrier: dict[str, str] = {}
    if is_on():
        _propagator.inject(carrier)
    return header_of(carrier.get(HEADER))


@contextlib.contextmanager
def continued(header: str | None) -> Iterator[None]:
    """What is sent meanwhile belongs to the trace of `header`, if there is one."""
    if not header or not is_on():
        yield
        return
    token = _context.attach(_propagator.extract({HEADER: header}))
    try:
        yield
    finally:
        _context.detach(token)


def begin(name: str, **attributes: Any) -> str:
    """Make a span for something that sends no message of its own, such as a workflow; return the header of what follows it."""
    if not is_on():
        return ""
    with _trace.get_tracer("jobroom").start_as_current_span(name, kind=_trace.SpanKind.PRODUCER):
        describe(**attributes)
        return current()
