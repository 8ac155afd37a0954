"""A launch goes from the gate to the message with one value: nothing that it needs is made or checked twice."""

import datetime
import functools
import json
from collections import Counter
from typing import Annotated

import pytest
from django.core.management import call_command

from jobroom.arguments import Schema, encryption
from jobroom.arguments.redaction import Secret
from jobroom.celery import tracker
from jobroom.jobs import calls, gate
from jobroom.jobs.models import Job, State
from jobroom.testing.tasks import made_task

pytestmark = pytest.mark.django_db
NAME = "test.steps"
VALUES = {"day": "2026-02-03", "code": "sesame"}

WAYS = {
    "page": lambda client: client.post(f"/tasks/{NAME}/", VALUES | {"launch-when": "now"}),
    "api": lambda client: client.post(
        "/api/jobs/", json.dumps({"task": NAME, "arguments": VALUES}), content_type="application/json"
    ),
    "command": lambda client: call_command("launch", NAME, *[f"--arg={name}={text}" for name, text in VALUES.items()]),
}


@pytest.fixture
def counted(monkeypatch):
    """Count how often the arguments are validated, looked through for what cannot be stored and for secrets, keyed and sealed."""
    times: Counter[str] = Counter()

    def count(owner, name, step):
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def counting(*args, **kwargs):
            times[step] += 1
            return inner(*args, **kwargs)

        monkeypatch.setattr(owner, name, counting)

    count(Schema, "_wire", "validated")
    count(Schema, "validate", "validated")
    count(gate, "unstorable", "storability")
    count(calls, "hide_arguments", "secrets")
    count(tracker, "hide_arguments", "secrets")
    count(calls, "question", "question")
    count(encryption, "seal", "sealed")
    return times


@pytest.mark.parametrize("way", WAYS)
def test_each_step_is_done_once(way, counted, as_staff, empty_redis, django_capture_on_commit_callbacks, capsys):
    def run(day: datetime.date, code: Annotated[str, Secret] = "", often: int = 1): ...

    with made_task(run, name=NAME, cache_for=600) as task:
        calls.schema_of(task).defaults_on_the_wire  # noqa: B018 — made once for all launches of the task
        counted.clear()
        with django_capture_on_commit_callbacks(execute=True):
            WAYS[way](as_staff)
        assert counted == {"validated": 1, "storability": 1, "secrets": 1, "question": 1, "sealed": 1}
    job = Job.objects.get()
    assert (job.state, job.kwargs["day"], job.kwargs["code"]) == (State.QUEUED, "2026-02-03", "••••••")


def test_the_key_of_a_launch_is_that_of_the_worker():
    """Whether the gate has validated the arguments or the worker does, defaults that do not fit included."""

    def run(day: datetime.date, often: int = "often", until: datetime.date = datetime.date(2026, 1, 1)): ...  # type: ignore[assignment]

    with made_task(run, name=NAME, cache_for=600) as task:
        call = calls.Call.of(gate.check(task, {"day": "2026-02-03"}, None))
        received = calls.Call(task, call.args, call.kwargs)
        assert call.question is not None
        assert call.question == received.question
