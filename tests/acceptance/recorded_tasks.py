"""Tasks with every end, for a worker of `test_recorder`; `celery -A tests.acceptance.recorded_tasks`."""

import os
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from image.celery import app
from jobroom.tasks import BaseTask, exclusive_task

__all__ = ["app"]

if path := os.environ.get("SPANS"):
    # One line for each span, from all processes of the pool.
    lines = Path(path).open("a", buffering=1)  # noqa: SIM115 — until the process ends
    provider = TracerProvider()
    provider.add_span_processor(
        SimpleSpanProcessor(ConsoleSpanExporter(out=lines, formatter=lambda span: span.to_json(indent=None) + "\n"))
    )
    trace.set_tracer_provider(provider)


@app.task(name="recorded.succeeds")
def succeeds(number: int) -> int:
    """Succeed."""
    return 2 * number


@app.task(name="recorded.fails")
def fails(number: int) -> None:
    """Fail."""
    raise ValueError(f"no {number}")


@app.task(bind=True, name="recorded.retries", max_retries=5)
def retries(self: Any, times: int) -> int:
    """Fail until the attempt number `times`."""
    if self.request.retries + 1 < times:
        raise self.retry(countdown=0, exc=ValueError("not yet"))
    return times


@app.task(bind=True, name="recorded.reports")
def reports(self: Any, count: int) -> None:
    """Write log lines and progress."""
    for number in self.track(range(count), "Counting"):
        self.log("info", str(number))


class Skips(BaseTask):
    """Do nothing while someone holds its lock."""

    name = "recorded.skips"

    @exclusive_task("recorded.skips", lock_id="recorded-skips")
    def run(self, number: int) -> int:
        """Answer."""
        return number


app.tasks.register(Skips())
