"""What a waiting job is shown comes from what workers say of themselves, and it names who is in front."""

from datetime import UTC, datetime

import pytest

from jobroom import redis
from jobroom.jobs import terminal
from jobroom.jobs.models import Job
from jobroom.jobs.queue_position import waiting
from jobroom.jobs.tests.test_queue_position import done, queue, running, worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_moment", "empty_redis")]


def place():
    (job,) = queue(1)
    return job, waiting([job])[job.pk]


def test_a_worker_whose_loop_stands_still_serves_no_one(admin_client):
    worker("one", ["default"], 2, loop=60.0)
    job, found = place()
    assert (found.processes, found.unserved) == (0, False)
    assert found.short == "next in its queue, one@host lives but receives no jobs: restart it"
    page = " ".join(admin_client.get(f"/jobs/{job.pk}/").content.decode().split())
    assert "ne@host lives but receives no jobs" in page
    answer = admin_client.get(f"/api/jobs/{job.pk}/").json()
    assert answer["waiting"] == terminal.described(job)["waiting"]
    assert "receives no jobs" in answer["waiting"]


def test_busy_processes_are_named_and_one_that_takes_longer_than_usual_ends_no_one_knows_when():
    done(1, "quick")
    running("quick", 40)
    now = redis.now()
    runs = [{"job": "running-quick-40", "task": "quick", "since": now - 40, "until": now + 20}]
    worker("one", ["default"], 1, loop=0.1, clock=now, running=runs)
    _, found = place()
    assert found.start == "not known yet how long a job before it will take"
    assert found.in_front == "quick (running-), running for 40 s, at most 20 s more"


def test_what_a_worker_runs_for_another_queue_and_what_no_one_records_keep_its_processes():
    now = redis.now()
    worker(
        "one", ["default", "ml"], 1, loop=0.1, clock=now,
        running=[{"job": "untracked", "task": "u", "since": now - 5, "until": None}],
    )  # fmt: skip
    _, found = place()
    assert (found.seconds, found.unknown) == (None, 1)


def test_what_has_ended_since_the_last_heartbeat_is_in_front_no_more():
    now = redis.now()
    runs = []
    for job, ended in {"done-u-1": now - 20, "done-u-2": now}.items():
        done(int(job[-1]), "u")
        Job.objects.filter(pk=job).update(finished_at=datetime.fromtimestamp(ended, UTC))
        runs.append({"job": job, "task": "u", "since": now - 50, "until": None})
    worker("one", ["default"], 2, silent=0, loop=0.1, clock=now, running=runs)
    _, found = place()
    # The first one the worker still ran after the history had its end: that keeps a process.
    assert [one.job for one in found.front] == ["done-u-1"]


def test_a_job_that_a_worker_runs_before_the_history_knows_it_is_not_in_front_of_itself():
    (first, second) = queue(2)
    now = redis.now()
    runs = [{"job": first.pk, "task": first.task, "since": now - 5, "until": None}]
    worker("one", ["default"], 1, loop=0.1, clock=now, running=runs)
    found = waiting([first, second])
    assert found[first.pk].short == "a worker has started it, which is not recorded yet"
    assert found[first.pk].front == ()
    assert [one.job for one in found[second.pk].front] == [first.pk]
    assert found[second.pk].ahead == 0


def test_an_attempt_before_the_retry_that_waits_is_not_taken_for_it():
    (job,) = queue(1)
    now = redis.now()
    runs = [{"job": job.pk, "task": job.task, "since": now - 7200, "until": None}]
    worker("one", ["default"], 1, loop=0.1, clock=now, running=runs)
    assert waiting([job])[job.pk].place == "next in its queue"


def test_a_job_that_a_rate_limit_holds_back_says_so():
    worker("one", ["default"], 1, loop=0.1, limited={"t": {"rate": "6/m", "jobs": ["default-0000"], "count": 1}})
    _, found = place()
    assert found.short == "next in its queue, a worker holds it back for the rate limit 6/m of t"


def test_no_one_is_promised_a_start_that_should_have_been():
    worker("one", ["default"], 1, loop=0.1)
    _, found = place()
    assert found.short == "next in its queue, a process is free, but it has not been started for 60 min"


def test_who_may_not_see_a_job_in_front_is_not_shown_its_name(client, django_user_model):
    (first, second) = queue(2)
    user = django_user_model.objects.create_user("ada")
    second.owner = user
    second.save()
    worker("one", ["default"])
    client.force_login(user)
    answer = client.get(f"/api/jobs/{second.pk}/").json()["waiting"]
    assert answer.endswith("in front: a job that you may not see.")
    assert first.pk[:8] not in answer
