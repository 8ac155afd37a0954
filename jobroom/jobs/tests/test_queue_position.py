"""Waiting jobs: their place, who serves them, when they should start."""

import json
from datetime import timedelta
from html import unescape

import pytest
from django.core.cache import cache
from django.utils import timezone

from jobroom import redis
from jobroom.events import heartbeat
from jobroom.jobs import queue_position as places
from jobroom.jobs.models import Job, State
from jobroom.jobs.queue_position import Waiting, waiting

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.usefixtures("one_moment", "empty_redis")]


def worker(name: str, queues: list[str], concurrency: int = 1, *, silent: float | None = None, **more) -> None:
    """Let a worker have said that it lives, `silent` seconds ago; without a silence it does for the length of a test."""
    instance = f"{name}@host/1-2"
    said = {
        "instance": instance, "name": f"{name}@host", "host": "host", "pid": 1, "queues": queues, "pool": "prefork",
        "concurrency": concurrency, "started": 0.0, "held": [], "tags": [], **more,
    }  # fmt: skip
    client = redis.client()
    client.set(heartbeat.data_key(instance), json.dumps(said))
    client.zadd(heartbeat.index_key(), {instance: redis.now(client) + (600.0 if silent is None else -silent)})


def queue(count: int, name: str = "default", **values) -> list[Job]:
    """Return so many waiting jobs, the oldest first."""
    began = timezone.now() - timedelta(hours=1)
    return Job.objects.bulk_create(
        Job(**{"pk": f"{name}-{n:04}", "task": "t", "queue": name, "state": State.QUEUED,
               "queued_at": began + timedelta(seconds=n), **values})
        for n in range(count)
    )  # fmt: skip


def done(seconds: float, task: str = "t", state: State = State.SUCCEEDED) -> None:
    """Add a job that took so long."""
    end = timezone.now()
    Job.objects.create(
        pk=f"done-{task}-{seconds}", task=task, queue="default", state=state,
        started_at=end - timedelta(seconds=seconds), finished_at=end,
    )  # fmt: skip


def running(task: str, began: float, name: str = "default", fraction: float | None = None) -> None:
    """Add a job that runs since so many seconds."""
    progress = {} if fraction is None else {"execution": "x", "fraction": fraction}
    Job.objects.create(
        pk=f"running-{task}-{began}", task=task, queue=name, state=State.RUNNING, execution="x", progress=progress,
        started_at=timezone.now() - timedelta(seconds=began),
    )  # fmt: skip


def last_of(*tasks: str, name: str = "default") -> Waiting:
    """Return what the last of waiting jobs of these tasks can expect."""
    jobs = queue(len(tasks), name)
    for job, task in zip(jobs, tasks, strict=True):
        job.task = task
    Job.objects.bulk_update(jobs, ["task"])
    return waiting(jobs)[jobs[-1].pk]


def test_the_place_is_the_number_of_those_queued_before():
    jobs = queue(3)
    queue(2, "ml")
    queue(1, "email", state=State.RUNNING)
    assert [waiting([job])[job.pk].ahead for job in jobs] == [0, 1, 2]


def test_the_start_is_computed_from_those_ahead_and_the_processes():
    last = queue(9)[-1]
    done(10)
    done(15)
    done(20)
    worker("one", ["default"], 3)
    worker("two", ["default", "ml"], 1)
    place = waiting([last])[last.pk]
    assert (place.processes, place.seconds) == (4, pytest.approx(30))
    assert place.short == "8 ahead of it, should start in about 30 s"


def test_each_waiting_job_counts_as_long_as_its_own_task_takes():
    done(600, "long")
    for number in range(30):
        done(1 + number / 1000, "short")
    worker("one", ["default"])
    assert last_of("long", "long", "short", "any").seconds == pytest.approx(1201, abs=1)


def test_the_next_takes_the_process_that_is_free_first():
    done(600, "long")
    done(10, "short")
    worker("one", ["default"], 2)
    # One process is busy with the long one, the other with the short ones.
    assert last_of("long", "short", "short", "short", "any").seconds == pytest.approx(30)


def test_what_runs_keeps_its_process():
    done(100, "long")
    running("long", 40)
    worker("one", ["default"])
    assert last_of("any").seconds == pytest.approx(60, abs=1)


def test_what_runs_shows_by_its_progress_how_long_it_still_takes():
    done(100, "long")
    running("long", 300, fraction=0.75)
    worker("one", ["default"])
    assert last_of("any").seconds == pytest.approx(100, abs=1)


def test_what_runs_in_another_queue_keeps_no_one():
    done(100, "long")
    running("long", 1, "ml")
    worker("one", ["default"])
    worker("two", ["ml"])
    assert last_of("any").start == "should start any moment"


def test_a_long_line_hides_no_history():
    done(30)
    Job.objects.update(created_at=timezone.now() - timedelta(days=1))
    worker("one", ["default"])
    last = queue(600)[-1]
    assert waiting([last])[last.pk].start == "should start in about 5.0 h"


def test_failures_take_their_time_too():
    done(30, "fails", State.FAILED)
    worker("one", ["default"])
    assert last_of("fails", "any").seconds == pytest.approx(30)


def test_it_is_said_when_no_one_knows_how_long_one_ahead_takes():
    done(10, "short")
    worker("one", ["default"])
    place = last_of("short", "new", "any")
    assert (place.seconds, place.unknown) == (None, 1)
    assert place.short == "2 ahead of it, not known yet how long a job before it will take"


def test_a_second_process_makes_it_known_at_the_latest():
    done(10, "short")
    worker("one", ["default"], 2)
    assert last_of("new", "short", "short", "any").start == "should start within about 20 s"


def test_an_unknown_job_that_runs_leaves_the_free_processes():
    running("new", 5)
    worker("one", ["default"], 2)
    assert last_of("any").start == "should start any moment"
    worker("one", ["default"], 1)
    cache.clear()
    assert "not known yet" in waiting(list(Job.objects.filter(state=State.QUEUED)))["default-0000"].start


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
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    place = waiting([job])[job.pk]
    assert (place.processes, place.unserved, place.short) == (None, False, "next in its queue")


def test_nothing_is_counted_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(places, "MOST_AHEAD", 3)
    last = queue(6)[-1]
    assert waiting([last])[last.pk].place == "3+ ahead of it"


def test_a_page_asks_four_times_whatever_its_rows(django_assert_num_queries):
    jobs = [*queue(20), *queue(20, "ml", task="u"), *queue(10, "heavy", task="v")]
    runs = [{"job": f"untracked-{n}", "task": "u", "since": None, "until": None} for n in range(2)]
    worker("one", ["default", "ml"], 2, running=runs)
    with django_assert_num_queries(4):
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
    ("ahead", "seconds", "words"),
    [
        (0, 0.0, "should start any moment"),
        (2, 60.0, "should start in about 60 s"),
        (2, 600.0, "should start in about 10 min"),
        (2, 18000.0, "should start in about 5.0 h"),
        (2, None, ""),
        (1000, 1000.0, ""),
    ],
)
def test_the_start_in_words(ahead, seconds, words):
    assert Waiting("default", ahead, 1, seconds).start == words


def test_a_queue_that_waits_for_a_resource_says_so(admin_client):
    (job,) = queue(1)
    worker("default", ["default"], waiting={"default": ["spam_model"]})
    found = waiting([job])[job.pk]
    assert (found.unserved, found.short) == (False, "its queue waits for the resource spam_model")
    text = " ".join(admin_client.get(f"/jobs/{job.pk}/").content.decode().split())
    assert "Its queue waits for the resource spam_model." in text
    cache.clear()
    worker("second", ["default"])
    assert waiting([job])[job.pk].short == "next in its queue, should start any moment"
