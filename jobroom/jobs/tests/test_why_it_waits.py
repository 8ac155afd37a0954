"""Why a job waits: the cause and the culprit in one sentence, where it is mended, and nothing that the reader may not see."""

import io

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.core.management import call_command

from jobroom import redis
from jobroom.anchors import anchor
from jobroom.celery import pauses
from jobroom.jobs import wait_reason_updates
from jobroom.jobs.models import Job, State, TaskRule
from jobroom.jobs.number_formats import clock
from jobroom.jobs.serializers import detail_of
from jobroom.jobs.tests.test_queue_position import queue, worker
from jobroom.jobs.why_it_waits import why
from jobroom.live.publish import watched_of
from jobroom.locks import ExclusiveLock

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]


@pytest.fixture
def boss():
    return User.objects.create_superuser("boss")


@pytest.fixture
def owner():
    return User.objects.create_user("owner")


@pytest.fixture
def job(owner):
    (found,) = queue(1, owner=owner)
    return found


def test_the_only_worker_of_the_queue_is_silent_and_named_with_its_row(job, boss, owner):
    worker("one", ["default"], silent=60)
    found = why(job, boss)
    assert found.kind == "silent"
    assert found.text.startswith("The worker one@host, the only one of the queue default, has been silent since ")
    assert found.path == f"/workers/#{anchor('worker', 'one@host/1-2')}"
    assert why(job, owner).path == "", "to who may not see that page there is none"
    worker("two", ["default"], silent=50)
    assert why(job, boss).text.startswith("All workers of the queue default have been silent since ")
    worker("three", ["default"])
    assert why(job, boss).kind == "line"


def test_a_silent_worker_that_has_its_message_is_named_though_others_serve(job, boss):
    worker("one", ["default"], silent=60, held=[job.pk])
    worker("two", ["default"])
    found = why(job, boss)
    assert (found.kind, "one@host has its message, and has been silent since" in found.text) == ("silent", True)


@pytest.mark.usefixtures("one_moment")
@pytest.mark.parametrize(
    ("said", "kind", "words", "where"),
    [
        ({"queues": ["other"]}, "unserved", "No worker serves the queue default; this job has waited since", "/queues/of/default/"),
        ({"loop": 60.0}, "stuck", "The worker one@host lives but receives no jobs", "/workers/#worker-"),
        ({"quiet": True}, "quiet", "The worker one@host is quiet: an operator has asked it", "/workers/#worker-"),
        ({"waiting": {"default": ["model"]}}, "resource", "Its queue waits for the resource model", "/workers/"),
    ],
)  # fmt: skip
def test_each_cause_has_one_place_where_it_is_mended(job, boss, client, said, kind, words, where):
    worker("one", **{"queues": ["default"], **said})
    found = why(job, boss)
    assert (found.kind, found.text.startswith(words)) == (kind, True), found.text
    client.force_login(boss)
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    assert found.path.startswith(where)
    assert page.count(f'<a href="{found.path}">{found.remedy}</a>') == 1
    answer = client.get(f"/api/jobs/{job.pk}/").json()
    assert (answer["waiting"], answer["mend"]) == (found.said, {"kind": kind, "what": found.remedy, "url": found.path})
    out = io.StringIO()
    call_command("show", job.pk, stdout=out)
    assert f"waiting   {found.text}" in out.getvalue()
    assert f"mend      {found.remedy}: http://" in out.getvalue()


def test_a_paused_task_leads_to_its_place_among_the_paused_ones(job, boss, owner):
    worker("one", ["default"])
    pauses.put([pauses.Paused("task", "t", "grace", "a bug", 1.0)])
    found = why(job, boss)
    (paused,) = pauses.current().values()
    assert found.text == f"The task t is paused by grace since {clock(paused.moment)}: a bug"
    assert found.path == f"/queues/#{paused.anchor}"
    assert (why(job, owner).text, why(job, owner).path) == (found.text, "")


def test_the_holder_of_a_lock_is_named_to_who_may_see_it(job, boss, owner):
    worker("one", ["default"])
    Job.objects.filter(pk=job.pk).update(lock="press")
    job.refresh_from_db()
    Job.objects.create(pk="holder-of-another", task="print", state=State.RUNNING)
    with ExclusiveLock("press", job="holder-of-another", task="print"):
        found = why(job, boss)
        assert found.text.startswith("It waits for the lock press, held by print (holder-o) since ")
        assert found.path == f"/locks/#{anchor('lock', 'press')}"
        assert "held by a job that you may not see since" in why(job, owner).text
        redis.client().flushdb()
        cache.clear()
    assert "which is free" in why(job, boss).besides, "no worker serves its queue, and that comes first"
    assert why(job, boss).said.startswith("No worker serves the queue default")


def test_the_name_of_a_lock_is_shown_to_who_may_read_arguments(job, owner):
    """It may be made of them."""
    worker("one", ["default"])
    TaskRule.objects.create(task="t").see.add(group := Group.objects.create(name="lookers"))
    (looker := User.objects.create_user("looker")).groups.add(group)
    Job.objects.filter(pk=job.pk).update(lock="press-of-ada")
    job.refresh_from_db()
    with ExclusiveLock("press-of-ada", job="another", task="print"):
        assert why(job, owner).text.startswith("It waits for the lock press-of-ada, held by ")
        assert why(job, looker).text.startswith("It waits for its lock, held by ")
        assert (detail_of(job, owner)["lock"], detail_of(job, looker)["lock"]) == ("press-of-ada", "")


def test_pages_that_are_open_hear_of_another_reason_and_of_nothing_else(job, monkeypatch):
    heard: list[str] = []
    monkeypatch.setattr(wait_reason_updates, "watched_of", lambda kind: [job.pk, "unknown"])
    monkeypatch.setattr(wait_reason_updates, "publish", lambda messages: heard.extend(topic for topic, _ in messages))
    reasons = wait_reason_updates.Reasons()

    def look() -> list[str]:
        heard.clear()
        reasons.look()
        return list(heard)

    worker("one", ["default"])
    assert look() == [f"job:{job.pk}"], "it may have changed since the page was made"
    assert look() == []
    pauses.put([pauses.Paused("queue", "default", "grace", "x", 1.0)])
    assert look() == [f"job:{job.pk}"], "what is remembered for other pages does not hold this up"
    assert look() == []
    pauses.remove("queue", "default")
    worker("one", ["default"], silent=60)
    assert look() == [f"job:{job.pk}"]
    worker("one", ["default"], silent=65)
    assert look() == []
    Job.objects.update(state=State.RUNNING)
    assert look() == []


def test_who_is_watched_is_asked_of_redis():
    with redis.connect() as client, client.pubsub() as pubsub:
        pubsub.subscribe(redis.key("live", "job:a"), redis.key("live", "jobs"))
        pubsub.get_message(timeout=60)
        pubsub.get_message(timeout=60)
        assert watched_of("job") == ["a"]


def test_the_locks_of_all_jobs_are_asked_for_in_one_round_trip(monkeypatch):
    jobs = [Job(pk=f"j{n}", task="print", state=State.QUEUED, queue="default", lock=f"press{n}") for n in range(20)]
    with ExclusiveLock("press7", job="holder"):
        pipelines: list[str] = []
        whole = redis.client().pipeline
        monkeypatch.setattr(
            type(redis.client()), "pipeline", lambda self, **options: pipelines.append("") or whole(**options)
        )
        found = wait_reason_updates._holders(jobs)
    assert {name: holder.job for name, holder in found.items()} == {"press7": "holder"}
    assert len(pipelines) == 1
