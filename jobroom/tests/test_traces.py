"""Spans of jobs, kept in memory; with a worker they are in tests/acceptance/test_recorder.py."""

from typing import Annotated
from unittest import mock

import pytest
from celery import Celery, current_app, signals
from celery.app.trace import build_tracer
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jobroom import checks, events
from jobroom.arguments.redaction import HIDDEN, Secret
from jobroom.celery import traces, tracker

HEADER = f"00-{'a' * 32}-{'b' * 16}-01"
USED = ("before_task_publish", "after_task_publish", "task_prerun", "task_postrun", "task_failure", "task_retry")


@pytest.fixture
def reported(monkeypatch):
    """Take what the tracker writes, whose receivers are connected as at the start of a process."""
    for name in USED:
        monkeypatch.setattr(getattr(signals, name), "receivers", [])
    found = []
    monkeypatch.setattr(events, "write", lambda kind, job, data: found.append((kind, data)) or (True, None))
    return found


@pytest.fixture
def spans(monkeypatch, settings, reported):
    """Trace into memory; return a function that gives the spans that have ended."""
    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    settings.JOBROOM = {**settings.JOBROOM, "TRACING": True}
    traces.connect()
    tracker.connect()
    yield memory.get_finished_spans
    traces.disconnect()


@pytest.fixture
def app():
    with Celery("traced", broker="memory://", backend="cache+memory://", set_as_current=False) as made:

        @made.task(name="traced.retries", bind=True, max_retries=1, shared=False)
        def retries(self, code: Annotated[str, Secret]):
            raise self.retry(exc=ValueError(f"no {code}"), countdown=0)

        made.finalize()
        before = current_app._get_current_object()
        made.set_current()
        yield made
        made.control.purge()
        before.set_current()


def run_next(app) -> None:
    """Run the next message as a worker does."""
    with app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
        message = queue.get(timeout=60)
        message.ack()
    headers, (args, kwargs, embed) = message.headers, message.payload
    task = app.tasks[headers["task"]]
    request = {
        **headers,
        **embed,
        "is_eager": False,
        "args": args,
        "kwargs": kwargs,
        "delivery_info": {"routing_key": "celery"},
    }
    build_tracer(task.name, task, app=app)(headers["id"], args, kwargs, request)


def test_one_trace_holds_launch_and_all_attempts(app, spans, reported):
    """With attributes of ours, and without a secret."""
    job = app.tasks["traced.retries"].apply_async(["s3cret-word"]).id
    run_next(app)
    run_next(app)
    launch, again, first, last = sorted(spans(), key=lambda span: (span.name, span.start_time))
    assert [span.name for span in (launch, again)] == ["apply_async/traced.retries"] * 2
    assert [span.name for span in (first, last)] == ["run/traced.retries"] * 2
    (trace_id,) = {format(span.context.trace_id, "032x") for span in spans()}
    parents = [span.parent and span.parent.span_id for span in (launch, first, again, last)]
    assert parents == [None, launch.context.span_id, first.context.span_id, again.context.span_id]
    assert {name: first.attributes[f"jobroom.{name}"] for name in ("job", "task", "queue", "attempt")} == {
        "job": job,
        "task": "traced.retries",
        "queue": "celery",
        "attempt": 1,
    }
    assert [span.attributes["jobroom.attempt"] for span in (launch, again, last)] == [1, 2, 2]
    assert first.attributes["celery.retry.reason"] == f"no {HIDDEN}"
    (error,) = last.events
    assert (error.attributes["exception.type"], error.attributes["exception.message"]) == ("ValueError", f"no {HIDDEN}")
    assert last.status.description == f"no {HIDDEN}"
    assert "s3cret-word" not in "".join(span.to_json() for span in spans())
    headers = [data["traceparent"] for kind, data in reported if kind in ("queued", "started")]
    assert {traces.trace_of(header) for header in headers} == {trace_id}


def test_without_the_setting_a_header_of_others_is_kept_and_nothing_is_loaded(app, reported):
    traces.connect()
    tracker.connect()
    assert not traces.is_on()
    app.tasks["traced.retries"].apply_async(["s3cret-word"], headers={"traceparent": HEADER})
    app.tasks["traced.retries"].apply_async(["s3cret-word"], headers={"traceparent": "<script>"})
    assert [data.get("traceparent") for kind, data in reported if kind == "queued"] == [HEADER, None]
    with traces.continued(HEADER):
        assert traces.current() == traces.begin("launch/w") == ""


def test_what_is_sent_again_belongs_to_the_trace_of_before(spans):
    with traces.continued(HEADER):
        assert traces.current() == HEADER
        begun = traces.begin("launch/w", workflow="w1", node="")
    assert traces.trace_of(begun) == "a" * 32
    assert begun != HEADER
    (span,) = spans()
    assert dict(span.attributes) == {"jobroom.workflow": "w1"}
    assert traces.current() == ""


@pytest.mark.parametrize(
    ("header", "trace_id"),
    [
        (HEADER, "a" * 32),
        (HEADER.replace("-01", "-00"), ""),  # no one keeps that trace
        (HEADER.upper(), ""),
        (HEADER.replace("a", "0"), ""),
        (f"{HEADER}\n", ""),
        ("", ""),
    ],
)
def test_only_a_trace_that_is_kept_has_an_id(header, trace_id):
    assert traces.trace_of(header) == trace_id


@pytest.mark.parametrize("address", ["https://traces.example.org/", "javascript:{trace_id}"])
def test_a_wrong_address_of_traces_is_named(settings, address):
    settings.JOBROOM = {**settings.JOBROOM, "TRACE_URL": address}
    (message,) = checks.tracing_settings()
    assert "{trace_id}" in message.hint


def test_a_missing_extra_is_named(settings):
    settings.JOBROOM = {**settings.JOBROOM, "TRACING": True}
    with mock.patch.object(traces, "is_installed", return_value=False):
        (message,) = checks.tracing_settings()
        traces.connect()
    assert "pip install 'django-jobroom[tracing]'" in message.hint
    assert not traces.is_on()


def test_without_the_receiver_that_is_replaced_nothing_is_traced_and_the_log_says_so(settings, monkeypatch, caplog):
    settings.JOBROOM = {**settings.JOBROOM, "TRACING": True}
    monkeypatch.delattr(CeleryInstrumentor, "_trace_failure")
    traces.connect()
    assert not traces.is_on()
    assert not CeleryInstrumentor().is_instrumented_by_opentelemetry
    assert "Nothing is traced" in caplog.text
