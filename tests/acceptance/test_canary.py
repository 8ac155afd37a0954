"""A secret of every kind goes in by every way; then it is looked for in all that is written, and must not be found.

Each secret holds letters that JSON, Python and addresses write otherwise, and a word of its own in the middle, which is
looked for as it is and in base64. So no form of it escapes.
"""

import base64
import json
import secrets
from pathlib import Path

import pytest
from asgiref.testing import ApplicationCommunicator
from celery import chain, current_app, signature
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from jobroom import redis
from jobroom.arguments.redaction import HIDDEN
from jobroom.events import consumer
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Job, Preset, Source
from jobroom.testing import wait_until
from jobroom.testing.processes import Process, Recorder, Worker, running
from jobroom.workflows.launches import launch_text
from jobroom.workflows.models import FINISHED, StoredWorkflow
from jobroom.workflows.workflows import Workflow
from tests.acceptance import canary_tasks  # noqa: F401 — registers the tasks here as well

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(480)]

DEFINITION = """
name: canary-workflow
payload:
  type: object
  properties:
    password: {type: string}
    note: {type: string}
nodes:
  first: {task: canary.passes, kwargs: {password: "${payload.password}"}}
  second: {task: canary.passes, kwargs: {plain: "${first.result.token}"}, needs: [first]}
  third: {task: canary.passes, kwargs: {plain: "${payload.password}"}}
result: {all: "${second.result}"}
"""


class Canaries:
    """Secrets by the way that they go in."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}

    def new(self, way: str) -> str:
        word = secrets.token_hex(8)
        self.words[way] = word
        return f"é\"'\\ {word} &ü"

    def found_in(self, what: bytes) -> list[str]:
        """Return the ways whose secret is in some bytes."""
        return [way for way, word in self.words.items() if any(form in what for form in self._forms(word))]

    @staticmethod
    def _forms(word: str) -> list[bytes]:
        forms = [word.encode()]
        for offset in range(3):
            first, last = -(-offset * 8 // 6), (offset + len(word)) * 8 // 6
            forms.append(base64.b64encode(b"\0" * offset + word.encode())[first:last])
        return forms


def everything_in_redis():
    client = redis.connect(decode_responses=False)
    for key in client.scan_iter(count=1000):
        read = {
            b"none": lambda k: [],  # it went meanwhile, as keys with an expiry do
            b"string": lambda k: [client.get(k) or b""],
            b"hash": lambda k: [part for pair in client.hgetall(k).items() for part in pair],
            b"list": lambda k: client.lrange(k, 0, -1),
            b"set": client.smembers,
            b"zset": lambda k: client.zrange(k, 0, -1),
            b"stream": lambda k: [v for _, fields in client.xrange(k) for v in fields.values()],
        }[client.type(key)]
        yield f"Redis {key!r}", b"\n".join([key, *read(key)])


def everything_in_the_database():
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                yield f"table {table}", b"\n".join(str(value).encode() for value in row)


def all_files():
    for path in Path(settings.VAR).rglob("*"):
        if path.is_file() and "redis" not in path.relative_to(settings.VAR).parts[0] and ".sqlite3" not in path.name:
            yield f"file {path}", path.read_bytes()


def all_answers(client):
    """Read every page and API answer that can be read without changing anything."""
    jobs = list(Job.objects.values_list("pk", flat=True))
    workflows = list(StoredWorkflow.objects.values_list("pk", flat=True))
    addresses = [
        "/",
        "/jobs/",
        "/tasks/",
        "/answers/",
        "/mails/",
        "/workflows/",
        "/schedules/",
        "/workers/",
        "/dead-letters/",
        "/queues/",
        "/locks/",
        "/audit/",
        "/failures/",
        "/audit/export.csv",
        "/audit/export.json",
        "/jobs/export/?format=csv",
        "/jobs/export/?format=json",
    ]
    addresses += [
        "/api/dead-letters/",
        "/api/queues/",
        "/api/locks/",
        "/api/audit/",
        "/api/schedules/",
        "/api/failures/",
    ]
    addresses += ["/api/jobs/", "/api/workflows/", "/api/mails/", "/api/tasks/canary.speaks/", "/tasks/canary.speaks/"]
    for job in jobs:
        task = Job.objects.get(pk=job).task
        addresses += [f"/jobs/{job}/", f"/api/jobs/{job}/", f"/api/jobs/{job}/events/"]
        addresses += [f"/tasks/{task}/?from-job={job}", f"/admin/jobroom_jobs/job/{job}/change/"]
    for workflow in workflows:
        addresses += [f"/workflows/{workflow}/{tab}" for tab in ("", "?tab=nodes", "?tab=result", "?node=0", "?node=1")]
        addresses += [f"/workflows/{workflow}/again/", f"/api/workflows/{workflow}/"]
        addresses += [f"/admin/jobroom_workflows/storedworkflow/{workflow}/change/"]
    for mail in client.get("/api/mails/").json().get("results", []):
        addresses += [f"/mails/{mail['id']}/", f"/api/mails/{mail['id']}/"]
    addresses += [f"/tasks/canary.speaks/?from-preset={pk}" for pk in Preset.objects.values_list("pk", flat=True)]
    read, missing = 0, []
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code in {200, 302, 404}, (address, answer.status_code)
        read += answer.status_code == 200
        missing += [address] * (answer.status_code == 404)
        yield address, b"".join(answer) if answer.streaming else answer.content
    assert read > len(jobs) * 3, missing


class Heard(Process):
    """Listens to everything that is published: frames of sockets are made of nothing else."""

    PROGRAM = (
        "import redis, sys; p = redis.Redis.from_url(sys.argv[1]).pubsub(); p.psubscribe('*')\n"
        "for m in p.listen(): print(m, flush=True)"
    )

    def __init__(self) -> None:
        import sys

        super().__init__("heard", [sys.executable, "-c", self.PROGRAM, settings.JOBROOM["REDIS_URL"]])


async def _frames(topics, session):
    from image.asgi import application

    headers = [(b"origin", b"http://localhost"), (b"host", b"localhost"), (b"cookie", f"sessionid={session}".encode())]
    scope = {"type": "websocket", "path": "/ws/live/", "query_string": b"", "headers": headers, "subprotocols": []}
    socket = ApplicationCommunicator(application, scope)
    await socket.send_input({"type": "websocket.connect"})
    await socket.receive_output(60)
    messages = []
    for topic in topics:
        await socket.send_input({"type": "websocket.receive", "text": json.dumps({"subscribe": topic, "after": 0})})
        messages.append(await socket.receive_output(60))
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wait(60)
    return messages


def send_all(canaries, client, user):
    """Launch by every way there is."""
    new = canaries.new
    current_app.tasks["canary.speaks"].delay(password=new("delay by name"), code=new("delay by annotation"))
    current_app.tasks["canary.speaks"].apply_async([new("by position")])
    signature(
        "canary.speaks", kwargs={"options": {"db": {"api_key": new("nested")}}, "password": new("signature")}
    ).delay()
    launch(
        task="canary.speaks",
        arguments={"password": new("launch"), "options": {"db": {"api_key": new("launch nested")}}},
        by=user,
        source=Source.PAGE,
        note="a note",
    )
    launch(task="canary.returns", arguments={}, by=None, source=Source.CODE)
    launch(
        task="canary.fails",
        arguments={"code": new("failure"), "password": new("failure by name")},
        by=user,
        source=Source.API,
    )
    launch(task="canary.retries", arguments={"password": new("retry")}, by=user, source=Source.API)
    for _ in range(2):
        launch(task="canary.keeps", arguments={"password": canaries.new("kept answer")}, by=user, source=Source.API)
    chain(
        signature("canary.passes", kwargs={"password": new("first of a chain")}),
        signature("canary.passes", kwargs={"password": new("second of a chain")}, immutable=True),
    ).delay()
    api = client.post(
        "/api/jobs/",
        {"task": "canary.speaks", "arguments": {"password": new("API"), "code": new("API annotation")}},
        content_type="application/json",
    )
    assert api.status_code == 201, api.content
    page = client.post(
        "/tasks/canary.speaks/", {"password": new("page"), "code": new("page annotation"), "launch-when": "now"}
    )
    assert page.status_code == 303, page.content
    call_command("launch", "canary.speaks", f"--arg=password={new('command')}")
    kept = {
        "preset-name": "mine",
        "password": new("preset"),
        "options": json.dumps({"db": {"api_key": new("preset nested")}}),
    }
    assert client.post(reverse("jobroom:jobs:keep_preset", args=["canary.speaks"]), kept).status_code == 303
    repeat = {"launch-when": "repeat", "launch-cron": "0 5 * * *", "password": new("schedule"), "options": "{}"}
    assert client.post("/tasks/canary.speaks/", repeat).status_code == 422
    nested = {
        "launch-when": "repeat",
        "launch-cron": "0 5 * * *",
        "options": json.dumps({"db": {"api_key": new("schedule nested")}}),
    }
    assert client.post("/tasks/canary.speaks/", nested).status_code == 422
    assert not PeriodicTask.objects.filter(task="canary.speaks").exists()
    Client().get(
        "/api/jobs/", headers={"authorization": f"Bearer {canaries.words['API']}", "x-api-key": canaries.words["API"]}
    )
    send_workflows(canaries, user)


def send_workflows(canaries, user):
    launch_text(DEFINITION, payload={"password": canaries.new("workflow"), "note": "n"}, by=user, source="api")
    work = Workflow(name="by hand")
    first = work.add_signature(signature("canary.passes", kwargs={"password": canaries.new("node")}))
    first.custom_payload["api_key"] = canaries.new("node payload")
    work.custom_payload["secret"] = canaries.new("custom payload")
    last = work.add_signature(
        signature(
            "canary.speaks",
            kwargs={"password": first.result["token"], "options": {"db": {"api_key": canaries.new("node nested")}}},
        ),
        dependencies=[first],
    )
    last.custom_payload["n"] = 1
    work.apply_async()
    failing = Workflow(name="failing")
    failing.add_signature(signature("canary.fails", kwargs={"code": canaries.new("failing node")}))
    failing.apply_async()


def waiting_messages(client):
    """Read what pages and the API show of the messages that wait."""
    answers = [client.get(address) for address in ("/queues/of/default/", "/api/queues/default/messages/")]
    assert all(HIDDEN in answer.content.decode() or "u2022" in answer.content.decode() for answer in answers)
    return [(answer.request["PATH_INFO"], answer.content) for answer in answers]


def looked_for(canaries, *sources):
    found = [(where, ways) for source in sources for where, what in source if (ways := canaries.found_in(what))]
    assert not found, "\n".join(f"{where}: {', '.join(ways)}" for where, ways in found)


def test_no_secret_is_written_anywhere(settings, admin_user, caplog):
    redis.client().flushdb()
    canaries, client = Canaries(), Client()
    client.force_login(admin_user)
    env = {"ADMINS": "Ada <ada@example.org>", "CANARY": canaries.new("returned")}
    with running(heard := Heard(), Recorder(env)):
        wait_until(lambda: "psubscribe" in heard.log, 60)
        send_all(canaries, client, admin_user)
        wait_until(lambda: consumer.lag().entries == 0, 60)
        looked_for(canaries, everything_in_redis(), everything_in_the_database(), waiting_messages(client))
        with running(
            worker := Worker(app="tests.acceptance.canary_tasks", env=env, queues="default,email", concurrency=2)
        ):
            wait_until(lambda: StoredWorkflow.objects.filter(state__in=FINISHED).count() == 3, 90)
            wait_until(lambda: not [job for job in Job.objects.all() if not job.is_finished], 90)
            wait_until(lambda: consumer.lag().entries == 0, 60)
            states = set(Job.objects.filter(task="canary.speaks").values_list("state", flat=True))
            assert states == {"succeeded"}, list(Job.objects.values_list("task", "state", "error"))
            assert Job.objects.filter(task="canary.fails", state="failed").count() == 2
            log = worker.log
    assert HIDDEN in log
    assert "cannot log in with" in log
    texts = [(f"answer {address}", what) for address, what in all_answers(client)]
    topics = [f"job:{pk}" for pk in Job.objects.values_list("pk", flat=True)]
    from asgiref.sync import async_to_sync

    frames = async_to_sync(_frames)(topics, client.cookies["sessionid"].value)
    assert any(HIDDEN in str(frame) or "u2022" in str(frame) for frame in frames)
    looked_for(
        canaries,
        everything_in_redis(),
        everything_in_the_database(),
        all_files(),
        texts,
        [("socket", str(frame).encode()) for frame in frames],
        [("own log", caplog.text.encode())],
    )
