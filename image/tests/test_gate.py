"""Whatever starts or changes work passes the gate: each way in, with what the person may give and with what they may not.

Every address that takes a POST, PUT, PATCH or DELETE and every command is listed here, as a way in that is tried, or with
the reason why it is none. What is not listed fails the test. What sends messages is listed in test_senders.
"""

import copy
import io
import json
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command, get_commands
from django.test import Client, TestCase, override_settings
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from assets.models import Asset
from image.celery import app
from image.tests.routes import routes
from image.tests.world import same_session
from jobroom import redis
from jobroom.arguments import File, WrongArguments
from jobroom.jobs import control, files, launches
from jobroom.jobs.exceptions import JobError
from jobroom.jobs.models import Job, Preset, Source, State, TaskRule
from jobroom.schedules import services as schedules
from jobroom.schedules.exceptions import ScheduleError
from jobroom.schedules.models import ScheduledRun
from jobroom.workers.models import DeadLetter
from jobroom.workflows import launches as workflow_launches
from jobroom.workflows import services
from jobroom.workflows.definitions import registry
from jobroom.workflows.definitions.recipe import Recipe
from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.models import Definition, StoredWorkflow
from jobroom.workflows.models import State as WorkflowState

pytestmark = pytest.mark.django_db

TASK, NAME = "scratch.gate", "gate"
REFUSED = (JobError, WorkflowException, WrongArguments, ScheduleError, CommandError)
TEXT = """
name: gate
payload:
  properties: {asset: {type: integer, x-model: assets.Asset}, content: {type: string}}
nodes:
  list: {task: scratch.list}
  one: {task: scratch.gate, kwargs: {asset: "${payload.asset}", content: "${payload.content}"}, needs: list}
  given: {task: scratch.gate, args: ["${list.result.asset}", "${list.result.content}"]}
"""
WAITS = """
name: waits
nodes:
  paid: {wait_for: The payment}
  given: {task: scratch.gate, args: ["${paid.result.data.asset}", "${paid.result.data.content}"]}
"""

# --- what there is ---------------------------------------------------------------------------------------------------

# Why these addresses start and change no work. Those of Django's admin are known by the model.
NO_WAY = {
    "accounts": {"login/", "logout/", "password-reset/", "password-reset/<uidb64>/<token>/", "api/token/", "api/token/refresh/",
                 "api/tokens/", "api/tokens/<int:token_id>/", "account/end-all/", "account/tokens/<int:token_id>/revoke/"},
    "ends work, or keeps it from beginning": {
        "jobs/<str:job_id>/cancel/", "api/jobs/<str:job_id>/cancel/", "workflows/<str:workflow_id>/cancel/",
        "workflows/<str:workflow_id>/pause/", "api/workflows/<str:workflow_id>/cancel/",
        "api/workflows/<str:workflow_id>/pause/",
    },
    "messages of jobs that have passed the gate, by the right of an operator": {
        "queues/pause/", "queues/resume/", "queues/of/<path:name>/message/", "queues/of/<path:name>/many/", "locks/break/", "locks/free/", "locks/next/",
        "api/queues/<path:name>/messages/", "api/queues/<path:name>/purge/", "api/queues/<path:name>/move/", "api/pauses/",
        "api/locks/", "api/limits/", "api/limits/next/", "workers/control/", "api/workers/control/",
    },
    "answers a question, by a right of its own": {
        "workflows/<str:workflow_id>/decide/", "api/workflows/<str:workflow_id>/nodes/<str:key>/decision/",
        "workflows/<str:workflow_id>/link/", "api/workflows/<str:workflow_id>/nodes/<str:key>/link/",
        "workflows/events/<str:token>/",  # without data
    },
    "a note, a deletion, or a thing of one's own": {
        "alerts/", "alerts/<int:alert_id>/drop/", "alerts/<int:alert_id>/test/", "api/alerts/", "api/alerts/<int:alert_id>/", "api/alerts/<int:alert_id>/test/",
        "submissions/new/", "submissions/<int:submission_id>/edit/", "submissions/<int:submission_id>/submit/",
        "jobs/<str:job_id>/note/", "account/zone/", "jobs/views/", "jobs/views/drop/", "ask-for-access/", "tasks/<path:name>/pin/", "answers/purge/", "presets/<int:preset_id>/rename/", "presets/<int:preset_id>/drop/", "tasks/<path:name>/presets/<int:preset_id>/drop/", "api/files/",
        "api/assets/", "assets/<int:asset_id>/delete/", "api/assets/<int:pk>/",
        "vocabularies/<slug:name>/delete/", "api/vocabularies/<slug:name>/",
    },
    "staff alone, and no arguments of a task": {
        "calendars/new/", "calendars/read/", "calendars/<int:calendar_id>/edit/", "calendars/<int:calendar_id>/delete/", "api/calendars/", "api/calendars/<int:calendar_id>/",
        "deadlines/", "deadlines/<int:expectation_id>/drop/", "api/deadlines/", "api/deadlines/<int:expectation_id>/",
        "task-rules/new/", "task-rules/<int:rule_id>/", "task-rules/<int:rule_id>/delete/",
        "mails/<uuid:mail_id>/again/", "mails/<uuid:mail_id>/give-up/", "dead-letters/delete/", "api/dead-letters/<int:dead_letter_id>/", "text/models/roll-back/",
        "text/models/<int:version>/promote/", "api/text/models/roll-back/", "api/text/models/<int:version>/promote/",
        "api/workflows/definitions/",
    },
    "staff alone, and each job through jobroom.jobs.control.retry, which asks the gate": {
        "failures/<str:group_id>/act/", "api/failures/<str:group_id>/act/",
    },
    "through jobroom.jobs.launches.launch, with a file of one's own": {"vocabularies/", "api/vocabularies/", "assets/"},
    "takes a schedule of one's own out of its course, or away": {
        "schedules/<int:schedule_id>/pause/", "schedules/<int:schedule_id>/resume/", "schedules/<int:schedule_id>/skip/",
        "schedules/<int:schedule_id>/backfills/<int:backfill_id>/act/", "api/schedules/<int:schedule_id>/backfills/<int:backfill_id>/",
        "schedules/<int:schedule_id>/settle/", "api/schedules/<int:schedule_id>/settle/",
        "schedules/<int:schedule_id>/delete/", "api/schedules/<int:schedule_id>/pause/",
        "schedules/<int:schedule_id>/policy/", "api/schedules/<int:schedule_id>/policy/",
        "api/schedules/<int:schedule_id>/resume/", "api/schedules/<int:schedule_id>/skip/",
    },
    "answers that there is no such address": {"api/[\\s\\S]*"},
}  # fmt: skip
# Pages that are looked at; their views take no other method.
READ_ONLY = {
    "", "alerts/<int:alert_id>/", "jobs/", "jobs/export/", "jobs/<str:job_id>/", "jobs/<str:job_id>/log/", "answers/", "presets/", "task-rules/", "account/", "files/<uuid:file_id>/", "tasks/", "times/", "healthz", "dead-letters/", "readyz", "metrics", "health/", "health/line/", "workers/", "doctor/", "doctor/waiting/",
    "calendars/", "calendars/<int:calendar_id>/", "schedules/<int:schedule_id>/backfills/<int:backfill_id>/", "schedules/", "schedules/preview/", "schedules/<int:schedule_id>/",
    "queues/", "queues/of/<path:name>/", "locks/", "workers/stack/<str:job_id>/", "audit/", "audit/export.csv", "audit/export.json",
    "tasks/<path:name>/options/<str:field>/", "text/models/", "text/models/<int:version>/", "vocabularies/<slug:name>/",
    "vocabularies/<slug:name>/terms/<path:term_id>/", "submissions/", "submissions/<int:submission_id>/",
    "assets/<int:asset_id>/", "failures/", "failures/<str:group_id>/", "mails/", "mails/<uuid:mail_id>/", "workflows/", "workflows/decisions/",
    "workflows/definitions/", "workflows/<str:workflow_id>/", "workflows/<str:workflow_id>/states/",
}  # fmt: skip
COMMANDS_NO_WAY = {
    "alerts", "audit", "calendars", "cancel", "check_waiting", "deadletters", "deadlines", "doctor", "drain", "failures", "health", "jobroom", "jobs", "lint", "locks", "pause", "purge_answers", "queues", "record", "resume",
    "show", "tasks", "test", "times", "up", "workers",
    "load_vocabulary", "test_spam_detector", "train_spam_detector",  # by the machine: anyone who has a shell
}  # fmt: skip


def test_every_address_that_changes_something_is_listed():
    tried = {address for way in WAYS.values() for address in way.addresses}
    known = tried | READ_ONLY | set().union(*NO_WAY.values())
    changing = {
        route.pattern
        for route in routes()
        if route.methods & {"POST", "PUT", "PATCH", "DELETE"} and not route.pattern.startswith("admin/")
    }
    assert changing - known == set(), "Say here whether it starts work, and try it if it does."
    assert known - changing - {a for a in tried if a.startswith("admin/")} == set(), (
        "There is no such address any more."
    )


def test_pages_that_are_only_looked_at_take_no_other_method(client):
    client.force_login(User.objects.create_superuser("grace"))
    for address in READ_ONLY:
        if "<" not in address:
            assert client.post(f"/{address}").status_code == 405, address


def test_every_command_is_listed():
    ours = {name for name, where in get_commands().items() if where in {a.partition(".")[0] for a in _own_apps()}}
    tried = {way.command for way in WAYS.values() if way.command}
    assert ours == tried | COMMANDS_NO_WAY


def _own_apps():
    base = Path(django_settings.BASE_DIR)
    return [name for name in django_settings.INSTALLED_APPS if (base / name.partition(".")[0]).is_dir()]


# --- the ways in -----------------------------------------------------------------------------------------------------


class Room:
    """A person with all that they may use, and what belongs to another one."""

    def __init__(self) -> None:
        self.ada, other = User.objects.create(username="ada"), User.objects.create(username="other")
        self.group = Group.objects.create(name="artists")
        self.ada.groups.add(self.group)
        self.rule = TaskRule.objects.create(task=TASK)
        self.rule.launch.add(self.group)
        registry.keep(TEXT, origin="a test").definition.launch.add(self.group)
        self.own, self.foreign = self._things(self.ada), self._things(other)
        self.client = Client()
        self.client.force_login(self.ada)
        self.boss = User.objects.create_superuser("boss")
        self.as_boss = Client()
        self.as_boss.force_login(self.boss)

    def fresh(self):
        """Return the same people and things as objects of one's own, with clients that are logged in as at first."""
        room = copy.copy(self)
        room.own, room.foreign = dict(self.own), dict(self.foreign)
        room.client, room.as_boss = same_session(self.client), same_session(self.as_boss)
        return room

    def _things(self, owner):
        stored = files.store(SimpleUploadedFile("cube.ply", b"ply"), owner)
        asset = Asset.objects.create(owner=owner, name="Cube", file=stored, format="ply", size=3)
        return {"asset": asset.pk, "content": str(files.store(SimpleUploadedFile("x", b"x"), owner).pk)}

    def person(self):
        """Return Ada as the database knows her now."""
        return User.objects.get(pk=self.ada.pk)

    def job(self, arguments, state=State.FAILED):
        """Return a job of hers with these arguments, made before anything was taken."""
        return Job.objects.create(
            id=f"job-{Job.objects.count()}", task=TASK, kwargs=arguments, state=state, owner=self.ada, queue="default"
        )

    def workflow(self, arguments):
        """Return a workflow of hers that failed."""
        workflow, complete = registry.build(registry.newest(NAME), arguments)
        workflow.freeze()
        stored = services.start(
            workflow, owner=self.ada, source="page", payload=complete, definition=registry.newest(NAME)
        )
        stored.state, stored.node_states = WorkflowState.FAILURE, "fff"
        stored.set_node_states("fff")
        stored.save()
        return stored

    def waiting(self):
        """Return a workflow of hers that waits for an event, on which a node depends."""
        with TestCase.captureOnCommitCallbacks(execute=True):
            return services.start(Recipe(WAITS).build().frozen(), owner=self.ada, source="page")

    def schedule(self, arguments):
        """Return a schedule of hers."""
        interval, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
        return PeriodicTask.objects.create(
            name=f"s{PeriodicTask.objects.count()}", task=TASK, interval=interval, kwargs=json.dumps(arguments),
            headers=json.dumps({"owner": self.ada.pk}),
        )  # fmt: skip


def post(client, address, data):
    with TestCase.captureOnCommitCallbacks(execute=True):
        return client.post(address, json.dumps(data), content_type="application/json")


def form(client, address, data):
    with TestCase.captureOnCommitCallbacks(execute=True):
        return client.post(address, {key: value for key, value in data.items() if value is not None})


def command(*words):
    with TestCase.captureOnCommitCallbacks(execute=True):
        call_command(*words, stdout=io.StringIO(), stderr=io.StringIO())


class Way:
    """One way in: `before` makes what it needs, `go(room, arguments, made)` goes it."""

    def __init__(self, go, *addresses, command="", before=None, bears=("row", "file", "right"), queue=None):
        self.go, self.addresses, self.command, self.before, self.bears = go, addresses, command, before, bears
        self.queue = queue


def _committed(act, **options):
    with TestCase.captureOnCommitCallbacks(execute=True):
        act(**options)


def _pairs(arguments):
    return [f"--arg={name}={value}" for name, value in arguments.items()]


def _fields(stored, arguments):
    """Return the fields of both nodes, each with its own kind of arguments: by name and by place."""
    return {f"node-{index}-{name}": value for index in (1, 2) for name, value in {"shown": "1", **arguments}.items()}


def _inputs(arguments):
    return {"inputs": dict(arguments)}


def _change(arguments):
    return {"one": {"kwargs": arguments}, "given": {"args": [*arguments.values()]}}


def _dead_letter(room, given):
    job = room.job(given)
    return DeadLetter.objects.create(pk=9, at=timezone.now(), job_id=job.pk, task=TASK, kind="unknown", reason="no")


def _bulk(room, arguments, job):
    form(room.client, "/jobs/bulk/", {"action": "retry", "job": job.pk, "confirmed": "1"})


def _beat(room, arguments, row):
    if not schedules.refusal_of(PeriodicTask.objects.get(pk=row.pk)):
        app.tasks[TASK].apply_async((), arguments)  # what the scheduler does then


def _admin(room, arguments, made):
    """Staff see all rows, so that only a row that is not there is refused."""
    interval, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    given = {
        name: 10**6 if arguments is room.foreign and name == "asset" else value for name, value in arguments.items()
    }
    form(room.as_boss, "/admin/django_celery_beat/periodictask/add/", {
        "name": "New", "task": TASK, "kwargs": json.dumps(given), "args": "[]", "interval": interval.pk, "headers": "{}",
    })  # fmt: skip


EVERY = ("row", "file", "right")
# A range of a schedule that has passed whenever the tests run.
PAST = {"since": "2026-01-01T00:30", "until": "2026-01-01T03:30"}
DEFINED = (*EVERY, "off")
WAYS = {
    "launch page": Way(
        lambda room, given, made, queue="": form(room.client, f"/tasks/{TASK}/", {**given, "launch-when": "now", "launch-queue": queue}),
        "tasks/<path:name>/", queue=True,
    ),
    "repeat on the launch page": Way(
        lambda room, given, made, queue="": form(room.client, f"/tasks/{TASK}/", {
            **given, "launch-when": "repeat", "launch-cron": "0 6 * * *", "launch-queue": queue,
        }),
        queue=True,
    ),
    "schedule page": Way(
        lambda room, given, made, queue="": form(room.client, f"/schedules/new/?task={TASK}", {
            **given, "schedule-kind": "every", "schedule-every": 1, "schedule-period": "hours", "schedule-queue": queue,
        }),
        "schedules/new/", queue=True,
    ),
    "schedule over the API": Way(
        lambda room, given, made, queue="": post(room.client, "/api/schedules/", {
            "task": TASK, "arguments": given, "when": "every hour", "queue": queue,
        }),
        "api/schedules/", queue=True,
    ),
    "edit of a schedule": Way(
        lambda room, given, row: form(room.client, f"/schedules/{row.pk}/edit/", {
            **given, "schedule-kind": "every", "schedule-every": 2, "schedule-period": "hours", "schedule-queue": "default",
        }),
        "schedules/<int:schedule_id>/edit/", before=lambda room, given: room.schedule(room.own),
    ),
    "change of a schedule over the API": Way(
        lambda room, given, row: room.client.patch(
            f"/api/schedules/{row.pk}/", json.dumps({"arguments": given, "when": "every 2 hours"}), content_type="application/json"
        ),
        "api/schedules/<int:schedule_id>/", before=lambda room, given: room.schedule(room.own),
    ),
    "run now on the page of a schedule": Way(
        lambda room, given, row: form(room.client, f"/schedules/{row.pk}/run/", {}), "schedules/<int:schedule_id>/run/",
        before=lambda room, given: room.schedule(given),
    ),
    "run now over the API": Way(
        lambda room, given, row: post(room.client, f"/api/schedules/{row.pk}/run/", {}),
        "api/schedules/<int:schedule_id>/run/", before=lambda room, given: room.schedule(given),
    ),
    "run now by command": Way(
        lambda room, given, row: command("schedules", "run", row.name, "--as", "ada"), command="schedules",
        before=lambda room, given: room.schedule(given),
    ),
    "backfill on the page": Way(
        lambda room, given, row: form(room.client, f"/schedules/{row.pk}/backfill/", {**PAST, "which": "missing", "at_once": 1}),
        "schedules/<int:schedule_id>/backfill/", before=lambda room, given: room.schedule(given),
    ),
    "backfill over the API": Way(
        lambda room, given, row: post(room.client, f"/api/schedules/{row.pk}/backfills/", PAST),
        "api/schedules/<int:schedule_id>/backfills/", before=lambda room, given: room.schedule(given),
    ),
    "backfill by command": Way(
        lambda room, given, row: command(
            "backfill", "start", row.name, "--as", "ada", *(f"--{name}={value}" for name, value in PAST.items())
        ),
        command="backfill", before=lambda room, given: room.schedule(given),
    ),
    "preset": Way(
        lambda room, given, made: form(room.client, f"/tasks/{TASK}/presets/", {**given, "preset-name": "mine"}),
        "tasks/<path:name>/presets/",
    ),
    "job over the API": Way(
        lambda room, given, made, queue="": post(room.client, "/api/jobs/", {"task": TASK, "arguments": given, "queue": queue}),
        "api/jobs/", queue=True,
    ),
    "launch command": Way(
        lambda room, given, made, queue="": command("launch", TASK, "--as", "ada", "--queue", queue, *_pairs(given)),
        command="launch", queue=True,
    ),
    "launch in Python": Way(
        lambda room, given, made, queue="": launches.launch(task=TASK, arguments=given, by=room.person(), source=Source.PAGE, queue=queue),
        queue=True,
    ),
    "launch again in Python": Way(
        lambda room, given, job: launches.launch_again(job=job, by=room.person(), source=Source.PAGE),
        before=lambda room, given: room.job(given),
    ),
    "repeat in Python": Way(
        lambda room, given, made, queue="": launches.repeat(task=TASK, arguments=given, by=room.person(), cron="0 6 * * *", queue=queue),
        queue=True,
    ),
    "retry in Python": Way(
        lambda room, given, job: _committed(control.retry, job=job, by=room.person()),
        before=lambda room, given: room.job(given),
    ),
    "retry on the page": Way(
        lambda room, given, job: form(room.client, f"/jobs/{job.pk}/retry/", {}), "jobs/<str:job_id>/retry/",
        before=lambda room, given: room.job(given),
    ),
    "retry over the API": Way(
        lambda room, given, job: post(room.client, f"/api/jobs/{job.pk}/retry/", {}), "api/jobs/<str:job_id>/retry/",
        before=lambda room, given: room.job(given),
    ),
    "retry command": Way(
        lambda room, given, job: command("retry", job.pk, "--as", "ada"), command="retry",
        before=lambda room, given: room.job(given),
    ),
    "requeue of a dead letter on the page": Way(
        lambda room, given, dead_letter: form(room.as_boss, "/dead-letters/requeue/", {"ids": dead_letter.pk}),
        "dead-letters/requeue/", before=_dead_letter, bears=(),
    ),
    "requeue of a dead letter over the API": Way(
        lambda room, given, dead_letter: post(room.as_boss, f"/api/dead-letters/{dead_letter.pk}/requeue/", {}),
        "api/dead-letters/<int:dead_letter_id>/requeue/", before=_dead_letter, bears=(),
    ),
    "retry of many": Way(_bulk, "jobs/bulk/", before=lambda room, given: room.job(given)),
    "workflow over the API": Way(
        lambda room, given, made: post(room.client, "/api/workflows/", {"definition": NAME, "payload": given}),
        "api/workflows/", bears=DEFINED,
    ),
    "workflow on the page": Way(
        lambda room, given, made: form(room.client, f"/workflows/definitions/{NAME}/", given),
        "workflows/definitions/<str:name>/", bears=DEFINED,
    ),
    "workflow command": Way(
        lambda room, given, made: command("workflow", "run", NAME, "--as", "ada", "--payload", json.dumps(given)),
        command="workflow", bears=DEFINED,
    ),
    "workflow in Python": Way(
        lambda room, given, made: workflow_launches.launch(definition=NAME, payload=given, by=room.person(), source="page"),
        bears=DEFINED,
    ),
    "rerun over the API": Way(
        lambda room, given, flow: post(room.client, f"/api/workflows/{flow.pk}/rerun/", {"changes": _change(given)}),
        "api/workflows/<str:workflow_id>/rerun/", before=lambda room, given: room.workflow(room.own), bears=DEFINED,
    ),
    "rerun of what was given then": Way(
        lambda room, given, flow: post(room.client, f"/api/workflows/{flow.pk}/rerun/", {}),
        before=lambda room, given: room.workflow(given), bears=DEFINED,
    ),
    "rerun on the page": Way(
        lambda room, given, flow: form(room.client, f"/workflows/{flow.pk}/again/", _fields(flow, given)),
        "workflows/<str:workflow_id>/again/", before=lambda room, given: room.workflow(room.own), bears=DEFINED,
    ),
    "resume over the API": Way(
        lambda room, given, flow: post(room.client, f"/api/workflows/{flow.pk}/resume/", {"changes": _change(given)}),
        "api/workflows/<str:workflow_id>/resume/", before=lambda room, given: room.workflow(room.own), bears=DEFINED,
    ),
    "resume with a result by hand": Way(
        lambda room, given, flow: post(room.client, f"/api/workflows/{flow.pk}/resume/", {"done": {"list": given}}),
        before=lambda room, given: room.workflow(room.own), bears=DEFINED,
    ),
    "resume on the page": Way(
        lambda room, given, flow: form(room.client, f"/workflows/{flow.pk}/resume/", _fields(flow, given)),
        "workflows/<str:workflow_id>/resume/", before=lambda room, given: room.workflow(room.own), bears=DEFINED,
    ),
    "resume command": Way(
        lambda room, given, flow: command(
            "workflow", "resume", flow.pk, "--as", "ada", "--change", f"one={json.dumps({'kwargs': given})}"
        ),
        before=lambda room, given: room.workflow(room.own), bears=DEFINED,
    ),
    "delivery over the API": Way(
        lambda room, given, flow: post(room.client, f"/api/workflows/{flow.pk}/nodes/paid/event/", {"data": given}),
        "api/workflows/<str:workflow_id>/nodes/<str:key>/event/", bears=("row", "file"), before=lambda room, given: room.waiting(),
    ),
    "delivery on the page": Way(
        lambda room, given, flow: form(room.client, f"/workflows/{flow.pk}/deliver/", {"node": "paid", "data": json.dumps(given)}),
        "workflows/<str:workflow_id>/deliver/", bears=("row", "file"), before=lambda room, given: room.waiting(),
    ),
    "delivery by command": Way(
        lambda room, given, flow: command("workflow", "deliver", flow.pk, "paid", "--as", "ada", "--data", json.dumps(given)),
        bears=("row", "file"), before=lambda room, given: room.waiting(),
    ),
    "go on over the API": Way(
        lambda room, given, flow: post(room.client, f"/api/workflows/{flow.pk}/unpause/", {}),
        "api/workflows/<str:workflow_id>/unpause/", bears=("right", "off"),
        before=lambda room, given: _paused(room),
    ),
    "go on on the page": Way(
        lambda room, given, flow: form(room.client, f"/workflows/{flow.pk}/unpause/", {}),
        "workflows/<str:workflow_id>/unpause/", bears=("right", "off"), before=lambda room, given: _paused(room),
    ),
    "schedule in the admin": Way(
        _admin, "admin/django_celery_beat/periodictask/add/", bears=("row",),
    ),
    "run now in the admin": Way(
        lambda room, given, row: form(room.as_boss, f"/admin/django_celery_beat/periodictask/{row.pk}/run/", {}),
        "admin/django_celery_beat/periodictask/<path:object_id>/run/", before=lambda room, given: room.schedule(given),
    ),
    "schedule when its time has come": Way(_beat, before=lambda room, given: room.schedule(given)),
}  # fmt: skip


def _paused(room):
    stored = room.workflow(room.own)
    StoredWorkflow.objects.filter(pk=stored.pk).update(state=WorkflowState.PAUSED)
    return StoredWorkflow.objects.get(pk=stored.pk)


@pytest.fixture(scope="module")
def made_room(module_transaction, tmp_path_factory):
    """Return a folder for files, and the rows that all tests here share: each takes back what it has changed."""
    folder = tmp_path_factory.mktemp("gate")
    with tasks():
        with override_settings(MEDIA_ROOT=folder):
            made = Room()
        yield folder, made


@pytest.fixture
def room(made_room, empty_redis, settings):
    settings.MEDIA_ROOT, made = made_room
    return made.fresh()


@contextmanager
def tasks():
    """Have two tasks that are nowhere but in this file."""

    @app.task(name=TASK, shared=False)
    def gate(asset: Asset | None = None, content: File | None = None):
        return None

    @app.task(name="scratch.list", shared=False)
    def listed():
        return {"asset": None, "content": None}

    yield
    for name in (TASK, "scratch.list"):
        app.tasks.pop(name)


def standing():
    """Return what would be other if work had been started or changed."""
    workflows = sorted(StoredWorkflow.objects.values_list("pk", "state", "epoch"))
    rows = [model.objects.count() for model in (Job, PeriodicTask, Preset, ScheduledRun)]
    rows += sorted(PeriodicTask.objects.values_list("pk", "kwargs", "interval__every"))
    return workflows, rows, redis.client().llen("default"), redis.client().llen("heavy")


def went_in(way, room, arguments, made, **options):
    """Return whether the way led to work."""
    before = standing()
    with suppress(*REFUSED):
        way.go(room, arguments, made, **options)
    return standing() != before


def made_for(way, room, arguments):
    if way.before is None:
        return None
    with TestCase.captureOnCommitCallbacks(execute=False):
        return way.before(room, arguments)


def by_kind(room, kind):
    """Return arguments of which one is another person's."""
    name = {"row": "asset", "file": "content"}[kind]
    return {**room.own, name: room.foreign[name]}


@pytest.mark.parametrize("name", WAYS)
def test_what_one_may_give_goes_in(room, name):
    way = WAYS[name]
    assert went_in(way, room, room.own, made_for(way, room, room.own))


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, w in WAYS.items() for k in w.bears if k in {"row", "file"}])
def test_what_is_another_persons_does_not_go_in(room, name, kind):
    way = WAYS[name]
    arguments = room.foreign if name == "schedule in the admin" else by_kind(room, kind)
    assert not went_in(way, room, arguments, made_for(way, room, arguments))


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if "right" in way.bears])
def test_a_right_that_was_taken_opens_nothing(room, name):
    way = WAYS[name]
    made = made_for(way, room, room.own)
    room.rule.launch.clear()
    Definition.objects.get(name=NAME).launch.clear()
    assert not went_in(way, room, room.own, made)


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if "off" in way.bears])
def test_a_definition_that_is_switched_off_begins_nothing(room, name):
    way = WAYS[name]
    made = made_for(way, room, room.own)
    Definition.objects.filter(name=NAME).update(enabled=False)
    assert not went_in(way, room, room.own, made)


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if way.queue])
def test_a_queue_that_is_not_open_takes_nothing(room, name):
    way = WAYS[name]
    assert not went_in(way, room, room.own, None, queue="heavy")
    room.rule.queues = ["heavy"]
    room.rule.save()
    assert went_in(way, room, room.own, None, queue="heavy")


def test_a_row_that_is_hidden_is_refused_like_one_that_there_is_not(room):
    texts = []
    for asset in (room.foreign["asset"], 10**6):
        answer = post(room.client, "/api/workflows/", {"definition": NAME, "payload": {**room.own, "asset": asset}})
        assert answer.status_code == 400
        texts.append(answer.content.decode().replace(f"asset {asset}", "asset ID"))
    assert "asset ID" in texts[0]
    assert texts[0] == texts[1]
