"""No message takes its worker along: each ends with a reason, and the worker goes on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import chord
from celery.result import AsyncResult
from django.core.management import call_command
from kombu.exceptions import EncodeError

from demo import tasks as demo
from image.celery import app
from jobroom import redis
from jobroom.jobs.models import Job, State
from jobroom.testing import wait_until
from jobroom.testing.processes import Process, Recorder, Worker, running
from jobroom.workers.models import DeadLetter
from jobroom.workers.rescue import rescue

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(480)]


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def put(body: Any, headers: Any, queue: str = "default", content_type: str = "application/json", **more: Any) -> None:
    """Publish a message as another program would, past everything that checks."""
    with app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        channel.queue_declare(queue, durable=True, auto_delete=False)
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        message = channel.prepare_message(
            text, content_type=content_type, content_encoding="utf-8", headers=headers, properties={}
        )
        channel.basic_publish(message, exchange="", routing_key=queue)


def call(job: str, task: str = "demo.add", **headers: Any) -> dict[str, Any]:
    return {"lang": "py", "id": job, "task": task, "root_id": job, "parent_id": None, "argsrepr": "", **headers}


GOOD = [[1, 2], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
BAD: dict[str, tuple[Any, dict[str, Any]]] = {
    "deep": (f"[[{nested(900)}], {{}}, {{}}]", call("deep")),
    "abyss": (f"[[{nested(100_000)}], {{}}, {{}}]", call("abyss")),
    "unknown": (GOOD, call("unknown", "probe.renamed_away")),
    "notjson": ("[[1, 2], {}", call("notjson")),
    "single": ("[1]", call("single")),
    "number": ("7", call("number")),
    "object": ('{"a": 1}', call("object")),
    "textargs": (["12", {}, {}], call("textargs")),
    "listkwargs": ([[1, 2], [3], {}], call("listkwargs")),
    "embed": ([[1, 2], {}, [1]], call("embed")),
    "eta": (GOOD, call("eta", eta="tomorrow")),
    "farfuture": (GOOD, call("farfuture", eta=[1])),
    "timelimit": (GOOD, call("timelimit", timelimit="soon")),
    "retries": (GOOD, call("retries", retries="many")),
    "headers": (GOOD, call("headers", stamps=json.loads(nested(900)))),
    "marked": ('[[{"__type__": "uuid", "__value__": 3}], {}, {}]', call("marked")),
}  # fmt: skip


def state_of(job: str) -> Any:
    return Job.objects.filter(pk=job).values_list("state", flat=True).first()


def test_no_message_takes_its_worker_along():
    """All kinds at once to one worker, good jobs between them."""
    with running(Recorder()), Worker(concurrency=1) as worker:
        good = []
        for body, headers in BAD.values():
            put(body, headers)
            good.append(demo.add.delay(1, 2).id)
        put(GOOD, call("pickled"), content_type="application/x-python-serialize")
        for number, odd in enumerate([None, [1], {"a": 1}, 5, "x" * 300]):
            put(GOOD, {**call(f"odd{number}"), "id": odd})
            put(GOOD, {**call(f"odd{number}"), "task": odd})
        put("{}", {})
        client = redis.client()
        for raw in ("garbage", "{}", "[]", "null", '{"body": 1}', nested(5000)):
            client.lpush("default", raw)
        good.append(demo.add.delay(1, 2).id)
        jobs = [*BAD, "pickled"]
        wait_until(lambda: all(state_of(job) == State.SUCCEEDED for job in good), 60, worker.log[-3000:])
        wait_until(lambda: {job: state_of(job) for job in jobs} == dict.fromkeys(jobs, State.FAILED), 60)
        wait_until(lambda: DeadLetter.objects.count() >= len(jobs) + 17, 60)
        assert worker.popen.poll() is None
        wait_until(lambda: client.hlen("unacked") == 0, 60)
    assert all(Job.objects.get(pk=job).error for job in jobs)
    assert "nested deeper" in Job.objects.get(pk="deep").error
    assert Job.objects.get(pk="unknown").error.startswith(
        "No worker of queue default knows the task probe.renamed_away"
    )
    assert Job.objects.get(pk="unknown").error_type == "NotRegistered"
    assert max(len(letter.head) for letter in DeadLetter.objects.all()) <= 2000
    assert AsyncResult("unknown").state == "FAILURE"
    call_command("deadletters", "--limit", "3")


def test_what_cannot_travel_is_not_published():
    with pytest.raises(EncodeError, match="nested deeper than 200"):
        demo.add.delay(json.loads(nested(900)), 1)
    with pytest.raises(EncodeError, match="MESSAGE_LIMIT"):
        app.send_task("elsewhere.task", ["x" * 17_000_000])
    assert redis.client().llen("default") == 0


def test_a_chord_ends_when_one_of_its_messages_is_refused():
    with running(Recorder()), Worker(concurrency=1):
        result = chord([demo.add.s(1, 2), app.signature("probe.renamed_away", args=(1,))])(demo.add.si(1, 1))
        wait_until(lambda: result.state == "FAILURE", 60)


@contextmanager
def ended(process: Process) -> Iterator[None]:
    """Run a process that may die at any moment."""
    Process.start(process)
    try:
        yield
    finally:
        process.stop(seconds=5)


def test_a_message_over_which_workers_die_is_not_tried_for_ever(settings):
    """The third death of a main process over a message is its last; what comes behind it is run."""
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_RESCUE_MARGIN": 1.0}
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_REPLACED_AFTER": 4.5}
    with Recorder():
        for deaths in range(5):
            worker = Worker(concurrency=1, app="tests.acceptance.poisoned", name="poisoned")
            with ended(worker):  # with some brokers it is dead before its first heartbeat
                if not deaths:
                    demo.add.apply_async((1, 2), task_id="poison")
                wait_until(
                    lambda: (rescue(), worker.popen.poll() is not None or state_of("poison") == State.FAILED)[1],  # noqa: B023
                    60,
                )
                if worker.popen.poll() is None:
                    good = demo.add.delay(1, 2).id
                    wait_until(lambda: state_of(good) == State.SUCCEEDED, 60)  # noqa: B023
                    break
    assert deaths == 3
    assert state_of("poison") == State.FAILED
    assert "died 3 times" in Job.objects.get(pk="poison").error
    assert DeadLetter.objects.get(job_id="poison").kind == "repeated"
