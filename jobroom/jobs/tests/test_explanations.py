"""What page and command say of a job that waits, and of one whose lock was broken."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.utils import timezone

from jobroom.jobs.explanations import facts, last_report
from jobroom.jobs.models import Job, State, TaskRule
from jobroom.locks import ExclusiveLock, break_lock

pytestmark = pytest.mark.django_db


def _texts(job):
    return " ".join(fact.text for fact in facts(job))


def test_a_waiting_job_names_who_is_in_front_and_that_no_one_serves_its_queue(capsys):
    now = timezone.now()
    for number in range(5):
        Job.objects.create(
            id=f"waiting-{number}", task="demo.echo", state=State.QUEUED, queue="nowhere",
            queued_at=now + timedelta(seconds=number),
        )  # fmt: skip
    last = Job.objects.get(pk="waiting-4")
    assert "No worker serves the queue nowhere; in front: Echo" in _texts(last)
    call_command("show", "waiting-4")
    shown = capsys.readouterr().out
    assert "No worker serves the queue nowhere; in front: Echo" in shown


def test_a_job_that_waits_for_a_lock_says_who_holds_it(capsys):
    job = Job.objects.create(
        id="second", task="demo.echo", state=State.QUEUED, queue="default", lock="facts-lock", holder="first"
    )
    with ExclusiveLock("facts-lock", job="first", task="demo.echo"):
        assert "It waits for the lock facts-lock, held by job first since" in _texts(job)
        call_command("show", "second")
        assert "held by job first since" in capsys.readouterr().out
    assert "which is free" in _texts(job)


def test_a_holder_whose_lock_was_broken_sees_it_on_its_page(admin_client, capsys):
    job = Job.objects.create(
        id="holder", task="demo.echo", state=State.RUNNING, execution="e", started_at=timezone.now()
    )
    lock = ExclusiveLock("facts-broken", job="holder", task="demo.echo")
    assert lock.acquire()
    try:
        break_lock("facts-broken", by="grace", reason="it hangs")
        sentence = "grace broke its lock facts-broken at"
        assert sentence in _texts(job)
        assert sentence in admin_client.get(job.get_absolute_url()).content.decode()
        call_command("show", "holder")
        assert sentence in capsys.readouterr().out
    finally:
        lock.release()
    Job.objects.update(state=State.SUCCEEDED)
    assert sentence in _texts(Job.objects.get())
    assert "goes on" not in _texts(Job.objects.get())


def test_who_may_not_read_arguments_is_given_no_name_of_a_broken_lock(client):
    """Its key may be an argument, and who broke the lock may have written why with it."""
    group = Group.objects.create(name="g")
    viewer = User.objects.create_user("viewer")
    viewer.groups.add(group)
    TaskRule.objects.create(task="demo.echo").see.add(group)
    job = Job.objects.create(
        id="holder", task="demo.echo", state=State.RUNNING, execution="e", started_at=timezone.now()
    )
    client.force_login(viewer)
    lock = ExclusiveLock("echo:secret-key", job="holder", task="demo.echo")
    assert lock.acquire()
    try:
        break_lock("echo:secret-key", by="grace", reason="the import of secret-file hangs")
        page = client.get(job.get_absolute_url()).content.decode()
    finally:
        lock.release()
    assert "grace broke its lock at" in page
    assert "secret" not in page


def test_a_killed_job_shows_how_far_it_was_and_how_much_memory_it_had(db, as_staff):
    at = timezone.now()
    said = {"event": 3, "at": at.timestamp() - 3, "execution": "a", "fraction": 0.4, "memory": 850_000_000}
    job = Job(
        id="killed", task="demo.killed", state=State.LOST, execution="a", progress=said, finished_at=at,
        error="Worker exited prematurely: signal 9 (SIGKILL) Job: 1.", error_type="WorkerLostError",
    )  # fmt: skip
    job.save(force_insert=True)
    words = "When it last reported, 3.0 s before its end was noticed, it was at 40% and its process used 810.6\xa0MB of memory."
    assert last_report(job) == words
    page = as_staff.get(job.get_absolute_url()).content.decode()
    assert words in page
    assert "when memory runs out" in page
    # What an attempt before it said is not about this one, and some say nothing of memory.
    assert last_report(Job(state=State.LOST, execution="b", progress=said)) == ""
    assert last_report(Job(state=State.LOST, execution="a", progress={**said, "memory": None, "fraction": None})) == ""
