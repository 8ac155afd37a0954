"""Waiting jobs: their place, who serves them, when they should start."""

import json
from datetime import timedelta
from html import unescape

import pytest
from django.core.cache import cache
from django.utils import timezone

from common import heartbeat, redis
from jobs import waiting as places
from jobs.models import Job, State
from jobs.waiting import Waiting, waiting

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]


@pytest.fixture(autouse=True)
def _nothing_remembered():
    cache.clear()
    yield
    cache.clear()


def worker(name: str, queues: list[str], concurrency: int = 1, *, silent: float = 0.0, **more) -> None:
    """Let a worker have said that it lives, `silent` seconds ago."""
    instance = f"{name}@host/1-2"
    said = {
        "instance": instance, "name": f"{name}@host", "host": "host", "pid": 1, "queues": queues, "pool": "prefork",
        "concurrency": concurrency, "started": 0.0, "held": [], "tags": [], **more,
    }  # fmt: skip
    client = redis.client()
    client.set(heartbeat.data_key(instance), json.dumps(said))
    client.zadd(heartbeat.index_key(), {instance: redis.now(client) - silent})


def queue(count: int, name: str = "default", **values) -> list[Job]:
    """Return so many waiting jobs, the oldest first."""
    began = timezone.now() - timedelta(hours=1)
    return Job.objects.bulk_create(
        Job(**{"pk": f"{name}-{n:04}", "task": "t", "queue": name, "state": State.QUEUED,
               "queued_at": began + timedelta(seconds=n), **values})
        for n in range(count)
    )  # fmt: skip


def done(seconds: float, name: str = "default") -> None:
    """Add a job that took so long."""
    end = timezone.now()
    Job.objects.create(
        pk=f"done-{name}-{seconds}", task="t", queue=name, state=State.SUCCEEDED,
        started_at=end - timedelta(seconds=seconds), finished_at=end,
    )  # fmt: skip


def test_the_place_is_the_number_of_those_queued_before():
    jobs = queue(3)
    queue(2, "ml")
    queue(1, "email", state=State.RUNNING)
    assert [waiting([job])[job.pk].ahead for job in jobs] == [0, 1, 2]


def test_the_start_is_reckoned_from_those_ahead_and_the_processes():
    last = queue(9)[-1]
    done(10)
    done(20)
    worker("one", ["default"], 3)
    worker("two", ["default", "ml"], 1)
    place = waiting([last])[last.pk]
    assert (place.processes, place.typical, place.seconds) == (4, pytest.approx(15), pytest.approx(30))
    assert place.short == "8 ahead of it, should start in about 30 s"


def test_a_queue_without_a_worker_is_said_plainly(as_staff):
    (job,) = queue(1, "ml")
    worker("dead", ["ml"], silent=3600)
    worker("other", ["default"])
    assert waiting([job])[job.pk].unserved
    assert "No worker serves the queue" in unescape(as_staff.get(f"/jobs/{job.pk}/").content.decode())
    assert "no worker serves the queue ml" in unescape(as_staff.get("/jobs/").content.decode())


def test_the_page_of_a_waiting_job_shows_its_place(as_staff):
    jobs = queue(3)
    worker("one", ["default"], 2)
    page = unescape(as_staff.get(f"/jobs/{jobs[2].pk}/").content.decode())
    assert "2 ahead of it; 2 processes serve <code>default</code>" in page
    assert "next in its queue" in unescape(as_staff.get("/jobs/").content.decode())


def test_a_silent_redis_takes_no_place_away(settings):
    (job,) = queue(1)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    place = waiting([job])[job.pk]
    assert (place.processes, place.unserved, place.short) == (None, False, "next in its queue")


def test_nothing_is_counted_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(places, "MOST_AHEAD", 3)
    last = queue(6)[-1]
    assert waiting([last])[last.pk].place == "3+ ahead of it"


def test_a_page_asks_twice_whatever_its_rows(django_assert_num_queries):
    jobs = [*queue(20), *queue(20, "ml"), *queue(10, "heavy")]
    with django_assert_num_queries(2):
        assert len(waiting(jobs)) == 50
    with django_assert_num_queries(0):  # a second later it is remembered
        waiting(jobs)


@pytest.mark.parametrize(
    "values", [{"state": State.RUNNING}, {"state": State.SCHEDULED}, {"lock": "busy"}, {"queue": ""}]
)
def test_others_have_no_place(values, django_assert_num_queries):
    jobs = queue(1, **values)
    with django_assert_num_queries(0):
        assert waiting(jobs) == {}


@pytest.mark.parametrize(
    ("ahead", "typical", "words"),
    [
        (0, 5.0, "should start any moment"),
        (2, 30.0, "should start in about 60 s"),
        (2, 300.0, "should start in about 10 min"),
        (2, 9000.0, "should start in about 5.0 h"),
        (2, None, ""),
        (1000, 1.0, ""),
    ],
)
def test_the_start_in_words(ahead, typical, words):
    assert Waiting("default", ahead, 1, typical).start == words


def test_a_queue_that_waits_for_a_resource_is_told(admin_client):
    (job,) = queue(1)
    worker("default", ["default"], waiting={"default": ["spam_model"]})
    found = waiting([job])[job.pk]
    assert (found.unserved, found.short) == (False, "its queue waits for the resource spam_model")
    text = " ".join(admin_client.get(f"/jobs/{job.pk}/").content.decode().split())
    assert "Its queue waits for the resource spam_model." in text
    cache.clear()
    worker("second", ["default"])
    assert waiting([job])[job.pk].short == "next in its queue"
