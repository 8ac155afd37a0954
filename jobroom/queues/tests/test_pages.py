"""What an operator does on the pages and over the API, and what others are answered."""

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.utils import timezone

from image.celery import app
from jobroom import redis
from jobroom.anchors import anchor
from jobroom.audit.models import Act
from jobroom.events import heartbeat
from jobroom.jobs.models import Job, State
from jobroom.locks import ExclusiveLock
from jobroom.workers.tests.engine import worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


@pytest.fixture
def operator(client, django_user_model):
    user = django_user_model.objects.create_user("grace", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="operate"))
    client.force_login(user)
    return client


def text_of(answer) -> str:
    return str(answer.content.decode())


def test_purge_asks_first_with_the_number_and_then_takes_no_more(operator):
    for _ in range(3):
        app.send_task("demo.echo", queue="heavy")
    asked = text_of(operator.post("/queues/of/heavy/many/", {"action": "purge", "reason": "wrong"}))
    assert "Purge 3 messages?" in asked
    assert redis.client().llen("heavy") == 3
    app.send_task("demo.echo", queue="heavy")
    form = {"action": "purge", "reason": "wrong", "confirmed": "1", "counts": "3,0,0,0"}
    done = operator.post("/queues/of/heavy/many/", form, follow=True)
    assert "Removed 3 messages" in text_of(done)
    assert redis.client().llen("heavy") == 1


def test_what_is_wrong_is_said_and_changes_nothing(operator):
    app.send_task("demo.echo", queue="heavy")
    app.send_task("demo.echo", queue="nowhere")  # a name that this process has published to once is no queue by that
    form = {"action": "move", "reason": "x", "target": "nowhere", "confirmed": "1", "counts": "1"}
    assert "There is no queue called “nowhere”" in text_of(operator.post("/queues/of/heavy/many/", form, follow=True))
    form = {"action": "delete", "position": "x", "digest": "y"}
    assert "names no message" in text_of(operator.post("/queues/of/heavy/message/", form, follow=True))
    assert redis.client().llen("heavy") == 1


def test_staff_without_the_right_look_and_do_not_touch(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("clerk", is_staff=True))
    app.send_task("demo.echo", queue="heavy")
    page = text_of(client.get("/queues/of/heavy/"))
    assert "demo.echo" in page
    assert "Purge" not in page
    assert client.post("/queues/of/heavy/many/", {"confirmed": "1", "counts": "1", "reason": "x"}).status_code == 403
    assert redis.client().llen("heavy") == 1


def test_the_page_that_a_form_leads_back_to_is_one_of_ours(operator):
    operator.post("/queues/pause/", {"kind": "queue", "name": "heavy", "reason": "x"})
    form = {"kind": "queue", "name": "heavy", "next": "https://example.com/"}
    assert operator.post("/queues/resume/", form)["Location"] == "/queues/"
    operator.post("/queues/pause/", {"kind": "queue", "name": "heavy", "reason": "x"})
    assert operator.post("/queues/resume/", {**form, "next": "/jobs/"})["Location"] == "/jobs/"


def test_a_lock_shows_who_waits_and_is_broken_with_a_reason(operator):
    Job.objects.create(pk="holder", task="demo.echo", state=State.RUNNING)
    Job.objects.create(pk="waits", task="demo.wait", state=State.QUEUED, lock="import", holder="holder")
    with ExclusiveLock("import", job="holder"):
        page = text_of(operator.get("/locks/"))
        assert "/jobs/holder/" in page
        assert "/jobs/waits/" in page
        assert "Free the lock" in text_of(operator.get("/jobs/waits/"))
        assert "Say why" in text_of(operator.post("/locks/break/", {"name": "import"}, follow=True))
        page = text_of(operator.post("/locks/break/", {"name": "import", "reason": "it is stuck"}, follow=True))
        assert "Broke the lock import" in page
        assert "it is stuck" in page
    assert Act.objects.get().kind == "lock"


def test_the_api_does_what_the_pages_do(operator):
    job = app.send_task("demo.echo", ["x"], queue="heavy").id
    ask = {"content_type": "application/json"}
    (shown,) = operator.get("/api/queues/heavy/messages/").json()
    assert (shown["job"], shown["args"]) == (job, ["x"])
    preview = operator.post("/api/queues/heavy/move/", {"target": "default"}, **ask).json()
    assert preview["number"] == 1
    form = {"target": "default", "counts": preview["counts"], "reason": "x"}
    assert "Moved 1 message" in operator.post("/api/queues/heavy/move/", form, **ask).json()["detail"]
    wrong = operator.post("/api/queues/default/purge/", {"counts": [1]}, **ask)
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["reason"])
    gone = {"action": "delete", "position": 0, "digest": "x", "reason": "x"}
    assert operator.post("/api/queues/default/messages/", gone, **ask).status_code == 404
    operator.post("/api/pauses/", {"kind": "queue", "name": "default", "reason": "x"}, **ask)
    assert operator.get("/api/queues/").json()[0]["paused"]["by"] == "grace"
    assert operator.delete("/api/pauses/?kind=queue&name=default").status_code == 200
    assert operator.delete("/api/pauses/?kind=queue&name=default").status_code == 404


def test_a_worker_that_does_not_answer_is_said_not_to_have_done_it(operator, monkeypatch):
    monkeypatch.setattr("jobroom.workers.remote_control.PATIENCE", 0.2)
    worker("w@test/1")
    said = text_of(operator.post("/workers/control/", {"worker": "w@test", "action": "quiet"}, follow=True))
    assert "has not said yet" in said
    assert "Asked by grace to take no more jobs; not seen to be done yet" in said
    worker("w@test/1", quiet=True)
    assert "not seen to be done yet" not in text_of(operator.get("/workers/"))
    assert "There is no living worker" in text_of(
        operator.post("/workers/control/", {"worker": "x", "action": "quiet"}, follow=True)
    )
    assert Act.objects.get().action == "asked to take no more jobs"


@pytest.mark.parametrize(
    ("beat", "sentence"),
    [
        ({"queues": ["other"]}, "No worker serves the queue"),
        ({"quiet": True}, "quiet: an operator has asked it to take no jobs"),
        ({"loop": 100.0}, "receives no jobs"),
        ({"limited": {"demo.echo": {"rate": "1/m", "jobs": ["a"], "count": 1}}}, "rate limit 1/m"),
    ],
)
def test_the_page_of_a_waiting_job_names_the_cause_and_leads_to_where_it_is_mended(operator, beat, sentence):
    cache.clear()
    worker("w@test/1", **beat)
    Job.objects.create(
        pk="a", task="demo.echo", queue="default", state=State.QUEUED, queued_at=timezone.now(), queued_event=1
    )
    page = text_of(operator.get("/jobs/a/"))
    assert sentence in page.replace("<strong>", "")
    assert "/queues/of/default/" in page or "/workers/" in page


def test_the_holder_of_a_lock_is_cancelled_from_the_page_of_locks(operator):
    job = Job.objects.create(pk="holder", task="demo.echo", state=State.RUNNING)
    with ExclusiveLock("import", job="holder"):
        page = operator.get("/locks/").content.decode()
        assert f'id="{anchor("lock", "import")}"' in page
        assert 'aria-label="Cancel Echo"' in page
        answer = operator.post("/jobs/holder/cancel/", {"next": "/locks/#x"})
        assert answer["Location"] == "/locks/#x"
        page = text_of(operator.get("/locks/"))
        assert "Cancelled." in page
        assert "Cancelling…" in page
    job.refresh_from_db()
    assert job.cancel_by == "grace"


def test_a_queue_without_a_worker_is_given_to_one_on_its_own_page(operator, monkeypatch):
    monkeypatch.setattr("jobroom.workers.remote_control.PATIENCE", 0.2)
    assert "Let it take this queue" not in text_of(operator.get("/queues/of/heavy/")), "no worker runs"
    worker("w@test/1", queues=["default"])
    assert "Let it take this queue" in text_of(operator.get("/queues/of/heavy/"))
    assert "Let it take this queue" not in text_of(operator.get("/queues/of/default/"))
    form = {"worker": "w@test", "action": "add", "argument": "heavy", "next": "/queues/of/heavy/"}
    assert operator.post("/workers/control/", form)["Location"] == "/queues/of/heavy/"
    assert "asked to consume the queue heavy" in Act.objects.get().action


def test_a_silent_worker_is_replaced_from_its_row(operator, monkeypatch):
    monkeypatch.setattr("jobroom.workers.remote_control.PATIENCE", 0.2)
    worker("gone@test/1", silent=60.0, queues=["heavy"])
    assert "Hand over" not in text_of(operator.get("/workers/")), "no other runs"
    worker("w@test/1", queues=["default"])
    assert "Hand over" in text_of(operator.get("/workers/"))
    form = {"worker": "gone@test", "action": "hand_over", "argument": "w@test"}
    assert "w@test was asked to consume the queue heavy" in text_of(
        operator.post("/workers/control/", form, follow=True)
    )
    form = {"worker": "w@test", "action": "give_back", "reason": "x"}
    assert "There is no silent worker" in text_of(operator.post("/workers/control/", form, follow=True))
    page = text_of(operator.post("/workers/control/", {**form, "worker": "gone@test"}, follow=True))
    assert "gone@test is forgotten: no jobs went back" in page
    assert [each.name for each in heartbeat.workers()] == ["w@test"]


def test_the_queues_of_the_newest_of_its_name_are_handed_over(operator, monkeypatch):
    monkeypatch.setattr("jobroom.workers.remote_control.PATIENCE", 0.2)
    worker("gone@test/1", silent=90.0, queues=["older"], started=1.0)
    worker("gone@test/2", silent=60.0, queues=["heavy"], started=2.0)
    worker("gone@test/0", silent=95.0, queues=["oldest"], started=0.5)
    worker("w@test/1", queues=["default"])
    form = {"worker": "gone@test", "action": "hand_over", "argument": "w@test"}
    page = text_of(operator.post("/workers/control/", form, follow=True))
    assert "w@test was asked to consume the queue heavy" in page
    assert "consume the queue old" not in page
