"""Rights and limits where work goes on, or goes again, after its launch; and what viewers get who may not read a job."""

import json
from datetime import timedelta
from types import SimpleNamespace

import pytest
from celery.app.trace import build_tracer
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import TestCase
from django.utils import timezone

from assets.models import Asset
from image.celery import app
from jobroom import events, redis
from jobroom.arguments import encryption
from jobroom.jobs import bulk, control, files, launches
from jobroom.jobs.models import Job, Source, State, TaskRule
from jobroom.jobs.serializers import detail_of
from jobroom.limits import TooMany
from jobroom.live import snapshot, topics
from jobroom.tasks import BaseTask

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clean(empty_redis):
    return None


def failed(owner, **fields):
    return Job.objects.create(task="demo.echo", kwargs={"text": "x"}, state=State.FAILED, owner=owner, **fields)


def test_a_retry_is_counted_as_a_launch(staff, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_LAUNCHES": "1/h"}
    control.retry(job=failed(staff, id="a"), by=staff)
    with pytest.raises(TooMany, match="You have launched many jobs"):
        control.retry(job=failed(staff, id="b"), by=staff)
    control.retry(job=failed(staff, id="c"), by=None)


def test_a_retry_of_many_stops_at_the_limit_and_says_so(staff, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_LAUNCHES": "2/h"}
    jobs = [failed(staff, id=f"j{n}") for n in range(4)]
    outcome = bulk.act("retry", iter(jobs), staff)
    assert outcome.done == 2
    assert "You have launched many jobs" in outcome.stopped
    assert "The rest was left as it is" in bulk.sentence("retry", outcome)


def ends():
    rows = [json.loads(fields["e"]) for _, fields in redis.client().xrange(events.stream())]
    return [event for event in rows if event["type"] == "finished"]


def due(owner):
    job = launches.launch(
        task="demo.echo", arguments={"text": "x"}, by=owner, source=Source.PAGE,
        run_after=timezone.now() + timedelta(hours=2),
    )  # fmt: skip
    Job.objects.filter(pk=job.pk).update(run_after=timezone.now() + timedelta(seconds=5))


@pytest.mark.parametrize("taken", ["right", "account", "nothing"])
def test_a_job_for_later_needs_the_rights_of_its_time(taken):
    owner = User.objects.create_user("ada")
    group = Group.objects.create(name="echoers")
    owner.groups.add(group)
    TaskRule.objects.create(task="demo.echo").launch.add(group)
    due(owner)
    if taken == "right":
        owner.groups.clear()
    elif taken == "account":
        User.objects.update(is_active=False)
    assert launches.send_due() == (taken == "nothing")
    texts = [event["error"] for event in ends()]
    if taken == "nothing":
        assert texts == []
    else:
        (text,) = texts
        assert text.startswith("It was not started: ")
        assert redis.client().llen("default") == 0


@pytest.fixture
def scratch():
    """Return a task that notes its runs, retries whatever it raises, and has a secret argument."""
    runs = []

    @app.task(name="scratch.later", shared=False, autoretry_for=(Exception,), base=BaseTask)
    def later(asset: Asset | None = None, password: str = ""):
        runs.append(password)

    yield runs
    app.tasks.pop("scratch.later")


@pytest.fixture
def ada():
    person = User.objects.create_user("ada")
    group = Group.objects.create(name="laters")
    person.groups.add(group)
    TaskRule.objects.create(task="scratch.later").launch.add(group)
    return person


def start_what_is_due():
    """Run what a launch has put away for its time, as a worker does then."""
    (message,) = [json.loads(text) for text in redis.client().hvals(redis.key("later", "messages"))]
    headers = message["headers"]
    args, kwargs, _ = json.loads(message["body"])
    task = app.tasks[headers["task"]]
    request = {**headers, "hostname": "h", "delivery_info": {}, "headers": headers, "is_eager": False}
    build_tracer(task.name, task, app=app)(headers["id"], args, kwargs, request)


TAKEN = {
    "right": lambda person: person.groups.clear(),
    "account": lambda person: User.objects.filter(pk=person.pk).update(is_active=False),
    "row": lambda person: Asset.objects.update(owner=None),
    "nothing": lambda person: None,
}


@pytest.mark.parametrize("taken", TAKEN)
@pytest.mark.parametrize("given", [{"password": "hunter2"}, {}])
def test_a_job_whose_message_waits_for_its_time_asks_when_it_starts(ada, scratch, taken, given, tmp_path, settings):
    """Also one that is due so soon, or has such secrets, that its message goes out with its launch."""
    settings.MEDIA_ROOT = tmp_path
    settings.JOBROOM = settings.JOBROOM | {"HELD_AT_MOST": 0.5}
    stored = files.store(SimpleUploadedFile("cube.ply", b"ply"), ada)
    asset = Asset.objects.create(owner=ada, name="Cube", file=stored, format="ply", size=3)
    with TestCase.captureOnCommitCallbacks(execute=True):
        job = launches.launch(
            task="scratch.later", arguments={"asset": asset.pk, **given}, by=ada, source=Source.PAGE,
            run_after=timezone.now() + timedelta(seconds=10),
        )  # fmt: skip
    TAKEN[taken](ada)
    start_what_is_due()
    assert scratch == ([given.get("password", "")] if taken == "nothing" else [])
    (end,) = ends()
    assert end["state"] == ("succeeded" if taken == "nothing" else "failed")
    if taken != "nothing":
        assert end["error"].startswith("It was not started: ")
        assert app.AsyncResult(job.pk).state == "FAILURE"  # who waits for it gets an answer


@pytest.mark.parametrize("taken", ["right", "account", "nothing"])
def test_a_lost_message_is_made_again_by_the_rights_of_now(ada, scratch, taken):
    job = Job.objects.create(
        id="lost", task="scratch.later", kwargs={}, state=State.QUEUED, owner=ada, queue="default", source="page"
    )
    TAKEN[taken](ada)
    job.refresh_from_db()
    launches.resend(job)
    assert redis.client().llen("default") == (taken == "nothing")
    assert len(ends()) == (taken != "nothing")


@pytest.mark.parametrize("taken", ["right", "nothing"])
def test_what_the_broker_did_not_take_is_sent_by_the_rights_of_now(ada, scratch, taken):
    hour = timezone.now() - timedelta(hours=1)
    Job.objects.create(
        id="unsent", task="scratch.later", kwargs={}, state=State.QUEUED, owner=ada, queue="default", source="page",
        queued_at=hour,
    )  # fmt: skip
    TAKEN[taken](ada)
    assert launches.send_due() == (taken == "nothing")
    assert len(ends()) == (taken != "nothing")


def test_parts_of_a_chord_are_sealed_where_a_secret_is_in_them():
    backend = app.backend
    for number, result in enumerate([{"password": "hunter2"}, {"n": 1}]):
        request = SimpleNamespace(id=f"t{number}", group="g1", group_index=number, chord=None)
        backend.on_chord_part_return(request, "SUCCESS", result)
    kept = redis.client().zrange(backend.get_key_for_group("g1", ".j"), 0, -1)
    texts = [part.decode() if isinstance(part, bytes) else part for part in kept]
    assert "hunter2" not in "".join(texts)
    assert encryption.MARK in texts[0]
    assert '{"n": 1}' in texts[1]
    assert [backend.decode(part)[3] for part in kept] == [{"password": "hunter2"}, {"n": 1}]


def test_the_message_of_a_progress_is_for_those_who_may_read_the_job(staff):
    viewer = User.objects.create_user("eve")
    group = Group.objects.create(name="seers")
    viewer.groups.add(group)
    TaskRule.objects.create(task="demo.echo").see.add(group)
    said = {"fraction": 0.5, "current": 1, "total": 2, "message": "row of Bob", "stage": "Load", "execution": "e"}
    job = Job.objects.create(id="p", task="demo.echo", state=State.RUNNING, execution="e", progress=said)
    for person, message in ((viewer, None), (staff, "row of Bob")):
        shown = detail_of(job, person)["progress"]
        assert (shown["message"], shown["stage"], shown["fraction"]) == (message, "Load", 0.5)
        share = topics.share_of(person, "job:p")
        ((text,), _) = snapshot.look("job:p", 0).texts(0, share.muted, share.plain)
        assert ("row of Bob" in text) == (message is not None)


def test_the_list_wakes_those_who_may_see_a_job_of_it(staff):
    owner, other = User.objects.create_user("ada"), User.objects.create_user("bob")
    change = {"type": "changed", "of": [["demo.echo", owner.pk]]}
    heard = [topics.share_of(person, "jobs").hears(change) for person in (owner, other, staff)]
    assert heard == [True, False, True]
    change = {"type": "changed", "owner": owner.pk, "groups": ["deciders"]}
    other.groups.add(Group.objects.create(name="deciders"))
    third = User.objects.create_user("cy")
    heard = [topics.share_of(person, "workflows").hears(change) for person in (owner, other, third, staff)]
    assert heard == [True, True, False, True]
