"""Many jobs at once: the page says what will happen, and exactly that happens."""

import json
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from image.celery import app
from jobroom import redis
from jobroom.exceptions import JobFailed
from jobroom.jobs import bulk
from jobroom.jobs.filters import JobFilter
from jobroom.jobs.models import Job, Source, State, TaskRule
from jobroom.jobs.tasks import on_many

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.usefixtures("empty_redis")]
ASK = "/jobs/bulk/"


def make(pk: str, **values) -> Job:
    """Return a job of the database."""
    return Job.objects.create(**{"pk": pk, "task": "demo.echo", "state": State.QUEUED, "queue": "default", **values})


def text(response) -> str:
    """Return the page as it stands."""
    return unescape(response.content.decode())


def cancelled() -> set[str]:
    """Return the jobs of which someone asked for the end."""
    return set(Job.objects.exclude(cancel_by="").values_list("pk", flat=True))


def sent() -> list[str]:
    """Return the ids of the messages in the queue."""
    return [json.loads(message)["headers"]["id"] for message in redis.client().lrange("default", 0, -1)]


def confirmed(client, **data):
    """Post the form of the confirmation page."""
    return client.post(ASK, {"confirmed": "1", "until": timezone.now().isoformat(), **data})


def test_the_page_says_exactly_what_will_happen_and_does_nothing_yet(as_staff):
    make("waits")
    make("runs", state=State.RUNNING)
    make("done", state=State.SUCCEEDED)
    make("broken", state=State.FAILED)
    page = text(as_staff.post(ASK, {"action": "cancel", "job": ["waits", "runs", "done", "broken"]}))
    assert "Cancel 2 jobs?" in page
    assert "2 of the 4 will be left alone" in page
    assert "It has ended already: succeeded." in page
    assert "It has ended already: failed." in page
    assert cancelled() == set()


def test_ticked_jobs_are_cancelled_and_the_message_says_what_was_not(as_staff):
    make("waits")
    make("other")
    make("done", state=State.SUCCEEDED)
    answer = confirmed(as_staff, action="cancel", job=["waits", "done"], **{"f-state": "queued"})
    assert (answer.status_code, answer["Location"]) == (303, "/jobs/?state=queued")
    assert cancelled() == {"waits"}
    page = text(as_staff.get(answer["Location"]))
    assert "1 job asked to stop. 1 job left alone: It has ended already: succeeded." in page


def test_all_that_match_are_those_of_the_list(as_staff):
    make("a", task="demo.echo")
    make("b", task="demo.wait")
    answer = confirmed(as_staff, action="cancel", all="all", **{"f-task": "demo.wait"})
    assert answer["Location"] == "/jobs/?task=demo.wait"
    assert cancelled() == {"b"}


def test_jobs_launched_after_the_page_are_left_alone(as_staff):
    seen = timezone.now()
    make("old", created_at=seen - timedelta(seconds=1))
    make("new", created_at=seen + timedelta(seconds=1))
    confirmed(as_staff, action="cancel", all="all", until=seen.isoformat())
    assert cancelled() == {"old"}


def test_failed_jobs_are_sent_again(as_staff, django_capture_on_commit_callbacks):
    make("broken", state=State.FAILED, kwargs={"text": "again"})
    make("secret", state=State.FAILED, kwargs={"text": "••••••"})
    with django_capture_on_commit_callbacks(execute=True):
        answer = confirmed(as_staff, action="retry", all="all")
    assert answer.status_code == 303
    assert sent() == ["broken"]
    page = text(as_staff.get("/jobs/"))
    assert "1 job sent again. 1 job left alone: Some arguments were secret" in page


def test_no_one_touches_what_is_not_theirs(as_ada, ada):
    make("mine", owner=ada)
    make("hidden")
    group = Group.objects.create(name="viewers")
    ada.groups.add(group)
    TaskRule.objects.create(task="demo.wait").see.add(group)
    make("seen", task="demo.wait")
    page = text(as_ada.post(ASK, {"action": "cancel", "all": "all"}))
    assert "Cancel 1 job?" in page
    assert "1 of the 2 will be left alone" in page
    assert "Only its owner, staff, and groups with the right may cancel it." in page
    confirmed(as_ada, action="cancel", job=["mine", "hidden", "seen"])
    assert cancelled() == {"mine"}


@pytest.mark.parametrize("data", [{"action": "cancel"}, {"action": "delete", "job": "a"}, {"job": "a"}])
def test_an_unclear_wish_does_nothing(as_staff, data):
    make("a")
    answer = as_staff.post(ASK, {**data, "confirmed": "1", "f-queue": "default"})
    assert (answer.status_code, answer["Location"]) == (303, "/jobs/?queue=default")
    assert "Tick the jobs first" in text(as_staff.get("/jobs/"))
    assert cancelled() == set()


def test_it_is_a_post_with_a_token_of_someone_known(client, staff):
    assert client.post(ASK, {"action": "cancel"}).url.startswith("/login/")
    client.force_login(staff)
    assert client.get(ASK).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(staff)
    assert strict.post(ASK, {"action": "cancel", "all": "all"}).status_code == 403


def test_more_than_a_hundred_are_done_by_a_job_of_the_person(as_ada, ada, django_capture_on_commit_callbacks):
    Job.objects.bulk_create(Job(pk=f"j{n}", task="demo.echo", owner=ada, tags=["x"]) for n in range(bulk.AT_ONCE + 1))
    with django_capture_on_commit_callbacks(execute=True):
        answer = confirmed(as_ada, action="cancel", all="all", **{"f-tag": "x"})
    job = Job.objects.get(task=bulk.TASK)
    assert answer["Location"] == f"/jobs/{job.pk}/"
    assert (job.owner, job.source, job.kwargs["query"]) == (ada, Source.PAGE, {"tag": "x"})
    assert sent() == [job.pk]
    assert cancelled() == set()
    assert as_ada.get(f"/jobs/{job.pk}/").status_code == 200


def run(own: Job, **arguments):
    """Run the task as the job `own`, in this process."""
    task = app.tasks[on_many.name]
    task.push_request(id=own.pk, is_eager=False, called_directly=False)
    try:
        return task.run(**arguments)
    finally:
        task.pop_request()


def test_the_job_may_do_what_its_owner_may(ada, staff):
    make("mine", owner=ada)
    make("other", owner=staff)
    own = make("own", task=bulk.TASK, owner=ada, state=State.RUNNING)
    assert run(own, action="cancel") == {"done": 1, "left alone": 0}
    assert cancelled() == {"mine"}
    with pytest.raises(JobFailed, match="This job has no owner"):
        run(make("nobodys", task=bulk.TASK), action="cancel")
    ada.is_active = False
    ada.save()
    with pytest.raises(JobFailed, match="This job has no owner"):
        run(own, action="cancel")


def test_a_second_run_repeats_no_retry(staff, django_capture_on_commit_callbacks):
    asked = timezone.now()
    make("before", state=State.FAILED, kwargs={"text": "a"}, finished_at=asked - timedelta(seconds=5))
    make("since", state=State.FAILED, kwargs={"text": "a"}, finished_at=asked + timedelta(seconds=5))
    own = make("own", task=bulk.TASK, owner=staff, state=State.RUNNING)
    with django_capture_on_commit_callbacks(execute=True):
        assert run(own, action="retry", ids=["before", "since"], until=asked)["done"] == 1
    assert sent() == ["before"]


def test_more_jobs_than_a_chunk_are_all_reached_once(staff, monkeypatch):
    monkeypatch.setattr("jobroom.jobs.bulk.CHUNK", 3)
    now = timezone.now()
    # Several share their moment, as those of one launch do.
    Job.objects.bulk_create(Job(pk=f"j{n}", task="t", created_at=now - timedelta(seconds=n // 4)) for n in range(10))
    found = [job.pk for job in bulk.each(bulk.Choice({}), staff)]
    assert sorted(found) == sorted(f"j{n}" for n in range(10))


def test_a_silent_redis_leaves_the_rest_alone(as_staff, settings):
    make("waits")
    there = settings.JOBROOM["REDIS_URL"]
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    confirmed(as_staff, action="cancel", job=["waits"])
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": there}
    assert "Redis does not answer, so the rest was left as it is." in text(as_staff.get("/jobs/"))


def test_the_list_has_ticks_and_says_why_not(as_ada, ada):
    group = Group.objects.create(name="viewers")
    ada.groups.add(group)
    TaskRule.objects.create(task="demo.wait").see.add(group)
    make("seen", task="demo.wait")
    page = text(as_ada.get("/jobs/?task=demo.wait"))
    assert 'name="f-task" value="demo.wait"' in page
    assert "You may only look at these jobs" in page
    assert "All 1 that match" in page
    make("mine", owner=ada)
    assert "You may only look at these jobs" not in text(as_ada.get("/jobs/"))


def test_the_plan_stops_counting(staff, monkeypatch):
    monkeypatch.setattr("jobroom.jobs.bulk.PLANNED", 2)
    for n in range(3):
        make(f"j{n}")
    plan = bulk.plan("cancel", bulk.Choice({}), staff)
    assert (str(plan.able), plan.more) == ("2+", True)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"owner": "me"}, {"mine"}),
        ({"owner": "grace"}, {"hers"}),
        ({"owner": "nobody"}, set()),
        ({"tag": "näh"}, {"mine"}),
        ({"tag": "nä"}, set()),
        ({"tag": "%"}, set()),
        ({"owner": "me", "tag": "b"}, {"mine"}),
    ],
)
def test_owner_and_tag(ada, staff, query, found):
    ada.is_staff = True
    make("mine", owner=ada, tags=["näh", "b"])
    make("hers", owner=staff, tags=[])
    wanted = JobFilter(query, ada)
    assert {job.pk for job in wanted.rows} == found
    assert wanted.is_filtered


def test_no_one_searches_in_arguments_that_they_may_not_read(ada):
    group = Group.objects.create(name="viewers")
    ada.groups.add(group)
    rule = TaskRule.objects.create(task="demo.wait")
    rule.see.add(group)
    make("theirs", task="demo.wait", label="precious")
    assert not JobFilter({"q": "precious"}, ada).rows
    rule.arguments.add(group)
    assert JobFilter({"q": "precious"}, User.objects.get(pk=ada.pk)).rows
