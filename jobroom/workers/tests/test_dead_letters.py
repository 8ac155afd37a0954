"""The page, the API and the acts of dead letters."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import TestCase
from django.utils import timezone

from image.celery import app
from jobroom import events, redis
from jobroom.jobs import control
from jobroom.jobs.models import Job, State
from jobroom.signals import acted
from jobroom.testing import transactions
from jobroom.workers import dead_letters
from jobroom.workers.models import DeadLetter

pytestmark = pytest.mark.django_db

PAGE, API = "/dead-letters/", "/api/dead-letters/"


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


@pytest.fixture
def clerk(client):
    user = User.objects.create(username="clerk", is_staff=True)
    client.force_login(user)
    client.user = user
    return client


@pytest.fixture
def acts():
    found = []

    def keep(**said):
        if said["kind"] == "dead letter":  # the retry of its job is one of its own
            found.append((said["who"], said["action"], said["kind"], said["target"], said["outcome"]))

    acted.connect(keep)
    yield found
    acted.disconnect(keep)


def dead_letter(
    number=1, job="j1", task="demo.add", kind="unknown", reason="No worker of queue default knows it.", **more
):
    return DeadLetter.objects.create(
        id=number, at=timezone.now(), job_id=job, task=task, queue="default", kind=kind, reason=reason, **more
    )


def job(pk="j1", **more):
    values = {"task": "demo.add", "args": [1, 2], "state": State.FAILED, "queue": "default", **more}
    return Job.objects.create(id=pk, **values)


def text_of(response):
    return " ".join(response.content.decode().split())


def post(client, address, data=None, **more):
    with TestCase.captureOnCommitCallbacks(execute=True):
        return client.post(address, data or {}, **more)


def waiting():
    return redis.client().llen("default")


def test_the_page_says_what_and_why(clerk):
    job()
    dead_letter(head='[[1, "<b>"], {}]', size=17)
    dead_letter(2, "", "", "undecodable", "Its content cannot be decoded.")
    text = text_of(clerk.get(PAGE))
    assert "No worker of queue default knows it." in text
    assert 'href="/jobs/j1/"' in text
    assert "&lt;b&gt;" in text
    assert "names no job" in text
    assert "Delete</button>" not in text
    assert "Its content" not in text_of(clerk.get(PAGE, {"kind": "unknown"}))
    assert "Its content" not in text_of(clerk.get(PAGE, {"q": "demo"}))
    assert "No dead letter matches" in text_of(clerk.get(PAGE, {"q": "nothing"}))


def test_pages_follow_one_another(clerk):
    DeadLetter.objects.bulk_create(
        DeadLetter(id=n, at=timezone.now(), task=f"t{n:03}", kind="unknown", reason="r") for n in range(1, 103)
    )
    seen, address = [], PAGE
    api = []
    while address:
        context = clerk.get(address).context["filter"]
        seen += [row.pk for row in context.rows]
        address = PAGE + context.next_link if context.next_link else ""
    address = API
    while address:
        page = clerk.get(address).json()
        api += [row["id"] for row in page["results"]]
        address = page["next"]
    assert seen == api == list(range(102, 0, -1))
    assert clerk.get(PAGE, {"before": "x"}).status_code == 400
    assert clerk.get(API, {"before": "x"}).json()["errors"].keys() == {"before"}


def test_requeue_runs_the_job_again_and_is_audited(clerk, acts):
    job(), dead_letter()
    response = post(clerk, PAGE + "requeue/", {"ids": ["1"], "q": "demo"})
    assert response.status_code == 303
    assert response["Location"] == PAGE + "?q=demo"
    assert "1 job runs again" in text_of(clerk.get(PAGE))
    assert not DeadLetter.objects.exists()
    assert waiting() == 1
    assert acts == [("clerk", "requeued", "dead letter", "demo.add j1", "It was: No worker of queue default knows it.")]


def test_others_may_write_while_a_retry_asks_redis(clerk, monkeypatch):
    asked = transactions.noted(monkeypatch, control, "retry")
    job(), dead_letter()
    post(clerk, PAGE + "requeue/", {"ids": ["1"]})
    assert asked == [False]
    assert not DeadLetter.objects.exists()


def test_what_cannot_run_again_stays_with_the_reason(clerk, acts):
    """No job, one that has succeeded since, one whose task is still unknown, and one whose arguments are not known."""
    job("done", state=State.SUCCEEDED), dead_letter(1, "done")
    job("away", task="probe.renamed_away"), dead_letter(2, "away", "probe.renamed_away")
    job("odd", error_type=events.MESSAGE_UNREADABLE), dead_letter(3, "odd")
    dead_letter(4, "", ""), dead_letter(5, "forgotten")
    job("good"), dead_letter(6, "good")
    post(clerk, PAGE + "requeue/", {"all": "on"})
    text = text_of(clerk.get(PAGE))
    assert "1 job runs again" in text
    for reason in (
        "1 dead letter left alone: It succeeded",
        "1 dead letter left alone: Its task does not exist any more",
        "1 dead letter left alone: Its message could not be read",
        "1 dead letter left alone: The message names no job",
        "1 dead letter left alone: The history does not hold its job",
    ):
        assert reason in text
    assert list(DeadLetter.objects.values_list("pk", flat=True)) == [5, 4, 3, 2, 1]
    assert waiting() == len(acts) == 1


def test_after_a_deploy_it_can_run(clerk):
    job("away", task="probe.renamed_away"), dead_letter(2, "away", "probe.renamed_away")

    @app.task(name="probe.renamed_away", shared=False)
    def back(a, b):
        return a + b

    try:
        response = post(clerk, API + "2/requeue/")
    finally:
        app.tasks.pop("probe.renamed_away")
    assert response.status_code == 200
    assert waiting() == 1
    assert post(clerk, API + "2/requeue/").status_code == 404


def test_the_api_says_why_not(clerk):
    job(state=State.SUCCEEDED), dead_letter()
    response = post(clerk, API + "1/requeue/")
    assert response.status_code == 409
    assert "succeeded" in response.json()["detail"]
    assert DeadLetter.objects.exists()


def test_delete_needs_the_permission(clerk, acts):
    job(), dead_letter(), dead_letter(2)
    assert post(clerk, PAGE + "delete/", {"ids": "1"}).status_code == 403
    assert clerk.delete(API + "1/").status_code == 403
    assert DeadLetter.objects.count() == 2
    clerk.user.user_permissions.add(Permission.objects.get(codename="delete_deadletter"))
    assert "Delete</button>" in text_of(clerk.get(PAGE))
    assert post(clerk, PAGE + "delete/", {"ids": "1"}).status_code == 303
    assert clerk.delete(API + "2/").status_code == 204
    assert not DeadLetter.objects.exists()
    assert [act[:2] for act in acts] == [("clerk", "deleted")] * 2
    assert Job.objects.get().state == State.FAILED


def test_nonsense_chooses_nothing(clerk):
    dead_letter()
    for ids in ([], ["x"], ["-1"], ["9" * 30], ["٣"], [str(2**63)]):
        post(clerk, PAGE + "requeue/", {"ids": ids})
    assert "Tick the dead letters" in text_of(clerk.get(PAGE))
    assert DeadLetter.objects.exists()


def test_others_see_none(client, db):
    dead_letter()
    client.force_login(User.objects.create(username="ada"))
    assert client.get(PAGE).status_code == 403
    assert client.get(API).status_code == 403
    assert not DeadLetter.objects.visible_to(User.objects.get(username="ada")).exists()


def test_the_newest_are_kept(settings):
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_DEAD_LETTERS_KEPT": 2}
    for number in range(1, 5):
        dead_letter(number)
    assert dead_letters.prune() == 2
    assert list(DeadLetter.objects.values_list("pk", flat=True)) == [4, 3]
