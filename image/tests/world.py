"""A small world for the tests of rights: one person for each role, and one of everything that belongs to someone."""

import contextlib
import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from image.tests.routes import Route
from jobroom.jobs import files
from jobroom.jobs.models import Expectation, FailureGroup, Job, Preset, State, TaskRule
from jobroom.jobs.tokens import new_token
from jobroom.schedules.models import Backfill, Calendar
from jobroom.workflows.definitions import registry
from jobroom.workflows.models import State as WorkflowState
from jobroom.workflows.tests.stored import chain, store

TASK = "demo.echo"
SUMS = """
name: hidden-sums
payload: {properties: {a: {type: integer, default: 1}}}
nodes:
  one: {task: demo.add, args: ["${payload.a}", 2]}
"""
# Each with one right on the task, but those who own things, and those above rules.
ROLES = (
    "anonymous",
    "nobody",  # logged in, with no right at all
    "viewer",  # a rule lets them see the jobs of the task
    "reader",  # and read their arguments
    "launcher",  # launch the task and the definition
    "canceller",  # see and cancel the jobs of others
    "owner",  # of everything here, with no right beyond
    "left",  # an account that is switched off
    "clerk",  # staff without a permission of the admin
    "boss",  # superuser
)
RIGHTS = {
    "viewer": ("see",),
    "reader": ("see", "arguments"),
    "launcher": ("launch",),
    "canceller": ("see", "cancel"),
}


@dataclasses.dataclass
class World:
    """The people, and what there is."""

    people: dict[str, User] = dataclasses.field(default_factory=dict)
    clients: dict[str, Client] = dataclasses.field(default_factory=dict)
    things: dict[str, Any] = dataclasses.field(default_factory=dict)

    def fresh(self) -> "World":
        """Return the same people and things as objects of one's own, with clients that are logged in as at first."""
        clients = {role: same_session(client) for role, client in self.clients.items()}
        return World({role: copy.copy(user) for role, user in self.people.items()}, clients, copy.copy(self.things))

    def user(self, role: str) -> User | AnonymousUser:
        """Return the person, as the database knows them now."""
        return AnonymousUser() if role == "anonymous" else User.objects.get(pk=self.people[role].pk)

    def values(self, route: Route) -> dict[str, str]:
        """Return what stands in the places of an address, so that it leads to what the owner has."""
        found = {name: str(getattr(thing, "pk", thing)) for name, thing in self.things.items()}
        found |= {"preset_id": found["preset"], "field": "text", "key": "k0", "term_id": "X:1", "version": "1"}
        found |= {"uidb64": "x", "token": "x-y", "id": found["user"], "app_label": "jobs", "url": "nowhere"}
        found["name"] = self._name(route.pattern)
        found["content_type_id"], found["object_id"] = "1", self._row(route.pattern)
        found["pk"] = found["asset_id"]
        return found

    def _name(self, pattern: str) -> str:
        if "definitions/" in pattern:
            return "hidden-sums"
        return "breed" if "vocabularies/" in pattern else TASK

    def _row(self, pattern: str) -> str:
        """Return the id of some row of the model whose admin this is."""
        parts = pattern.split("/")
        if parts[0] != "admin" or len(parts) < 4:
            return "1"
        with contextlib.suppress(LookupError):
            row = apps.get_model(parts[1], parts[2])._default_manager.first()
            return str(row.pk) if row is not None else "1"
        return "1"


def same_session(client: Client) -> Client:
    """Return another client, of the person who is logged in with this one."""
    another = Client(raise_request_exception=client.raise_request_exception)
    another.cookies = copy.deepcopy(client.cookies)
    return another


def build() -> World:
    """Make the world; the caller has seen to an empty Redis and to a folder of its own for files."""
    world = World()
    for role in ROLES[1:]:
        staff = role in {"clerk", "boss"}
        user = User.objects.create(username=role, is_staff=staff, is_superuser=role == "boss", is_active=role != "left")
        world.people[role] = user
    rule = TaskRule.objects.create(task=TASK)
    for role, rights in RIGHTS.items():
        group = Group.objects.create(name=f"{role}s")
        world.people[role].groups.add(group)
        for right in rights:
            getattr(rule, right).add(group)
    world.things["rule_id"] = rule
    _fill(world, world.people["owner"])
    version = registry.keep(SUMS, origin="a test")
    version.definition.launch.add(Group.objects.get(name="launchers"))
    for role in ROLES:
        client = Client(raise_request_exception=False)
        if role != "anonymous":
            client.force_login(world.people[role])
        world.clients[role] = client
    return world


def _fill(world: World, owner: User) -> None:
    things = world.things
    things["user"] = owner
    things["job_id"] = Job.objects.create(
        id="11111111-aaaa-4aaa-8aaa-111111111111", task=TASK, kwargs={"text": "hush"}, label="text=hush",
        state=State.FAILED, error="no", owner=owner,
    )  # fmt: skip
    things["workflow_id"] = store(
        chain(2, options={"queue": "default"}), "sf", owner=owner, source="code", state=WorkflowState.FAILURE
    )
    things["file_id"] = files.store(SimpleUploadedFile("secret.txt", b"hush"), owner)
    mesh = files.store(SimpleUploadedFile("cube.ply", b"ply"), owner)
    things["asset_id"] = apps.get_model("assets.Asset").objects.create(
        owner=owner, name="Hidden cube", file=mesh, format="ply", size=3
    )
    things["preset"] = Preset.objects.create(owner=owner, task=TASK, name="Hidden preset", arguments={"text": "x"})
    things["submission_id"] = apps.get_model("biosample.Submission").objects.create(owner=owner, title="Hidden cows")
    things["mail_id"] = apps.get_model("jobroom_notifications.Mail").objects.create(
        key="k", digest="d", sender="a@example.org", recipients="b@example.org", subject="Hidden subject"
    )
    things["group_id"] = FailureGroup.objects.create(
        id="0" * 31 + "a", error_type="HiddenError", sentence="Hidden sentence", number=1, last_job=things["job_id"].pk
    )
    things["alert_id"] = apps.get_model("jobroom_notifications.AlertRule").objects.create(
        owner=owner, what="task", of=TASK, way="mail"
    )
    things["expectation_id"] = Expectation.objects.create(of="task", name=TASK, within=60)
    things["dead_letter_id"] = apps.get_model("jobroom_workers.DeadLetter").objects.create(
        id=7, at=timezone.now(), job_id=things["job_id"].pk, task=TASK, kind="unknown", reason="Hidden reason"
    )
    things["vocabulary"] = apps.get_model("ontology.Vocabulary").objects.get_or_create(name="breed")[0]
    things["model"] = apps.get_model("text.SpamModel").objects.create(
        version=1,
        file=files.store(SimpleUploadedFile("model", b"x"), None),
        held_out={"confusion": [[1, 0], [0, 1]], "messages": 2},
        counts=dict.fromkeys(["contradictory", "held_out", "learned", "repeated", "spam"], 1),
        sha256="x",
        size=3,
        data_name="d",
        data_sha256="x",
        data_rows=1,
    )
    things["token_id"], _ = new_token(owner, "Hidden token")
    hourly = IntervalSchedule.objects.create(every=1, period="hours")
    things["calendar_id"] = Calendar.objects.create(name="Holidays of the world", days="2030-12-25")
    things["schedule_id"] = PeriodicTask.objects.create(
        name="Hidden schedule", task=TASK, interval=hourly, kwargs='{"text": "x"}', headers=f'{{"owner": {owner.pk}}}'
    )
    things["backfill_id"] = Backfill.objects.create(
        row=things["schedule_id"], since=timezone.now(), until=timezone.now()
    )


@contextlib.contextmanager
def undone() -> Iterator[None]:
    """Take back what is written to the database meanwhile."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def let_go(answer: Any) -> Any:
    """Close the file of an answer; its own `close` would close the connection to the database as well."""
    for close in getattr(answer, "_resource_closers", ()):
        close()
    return answer


def send(client: Client, method: str, address: str, data: Mapping[str, Any] | str, *, json: bool) -> Any:
    """Return the answer to a request; nothing that it writes to the database stays."""
    kind = {"content_type": "application/json"} if json else {}
    with undone():
        if method in {"GET", "HEAD"}:
            return let_go(getattr(client, method.lower())(address))
        return let_go(getattr(client, method.lower())(address, data, **kind))
