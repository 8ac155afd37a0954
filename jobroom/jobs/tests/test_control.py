"""What may be done to a job, by whom, in which state."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User

from jobroom.arguments.redaction import HIDDEN
from jobroom.events import cancellation
from jobroom.jobs import control, policies
from jobroom.jobs.exceptions import NotAllowed, NotNow
from jobroom.jobs.models import FINISHED, Job, State, StoredFile, TaskRule

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clean(empty_redis):
    return None


@pytest.fixture
def job(ada):
    return Job.objects.create(id="j1", task="demo.echo", state=State.QUEUED, owner=ada, kwargs={"text": "x"})


@pytest.fixture
def bob(db):
    return User.objects.create_user("bob", password="x")


@pytest.fixture
def group(bob):
    group = Group.objects.create(name="curators")
    bob.groups.add(group)
    return group


def test_the_owner_may_cancel_and_the_database_says_who_asked(job, ada):
    assert control.cancel(job=job, by=ada).startswith("Cancelled. It will not start")
    job.refresh_from_db()
    assert job.cancel_by == "ada"
    assert job.cancel_at is not None
    assert cancellation.requested("j1")["by"] == "ada"


def test_someone_else_may_not(job, bob):
    assert control.why_not_cancel(job, bob)
    with pytest.raises(NotAllowed):
        control.cancel(job=job, by=bob)
    assert cancellation.requested("j1") is None


@pytest.mark.parametrize("state", sorted(FINISHED))
def test_what_has_ended_cannot_be_cancelled(job, ada, state):
    job.state = state
    with pytest.raises(NotNow, match="has ended already"):
        control.cancel(job=job, by=ada)


@pytest.mark.parametrize("state", sorted(FINISHED - {State.SUCCEEDED}))
def test_what_has_ended_badly_can_be_retried(job, ada, state, django_capture_on_commit_callbacks):
    cancellation.request("j1", "ada")
    Job.objects.update(state=state)
    job.refresh_from_db()
    ada.groups.add(made := Group.objects.create(name="artists"))
    TaskRule.objects.create(task="demo.echo").launch.add(made)
    with django_capture_on_commit_callbacks(execute=True):
        control.retry(job=job, by=ada)
    assert cancellation.requested("j1") is None
    from jobroom import redis

    assert redis.client().llen("default") == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"state": State.RUNNING}, "It has not ended yet"),
        ({"state": State.SUCCEEDED}, "as a new job"),
        ({"state": State.FAILED, "kwargs": {"text": HIDDEN}}, "secret"),
        ({"state": State.FAILED, "task": "gone.task"}, "does not exist any more"),
    ],
)
def test_why_a_job_cannot_be_retried(job, ada, fields, reason):
    for name, value in fields.items():
        setattr(job, name, value)
    for by in (ada, None):
        with pytest.raises(NotNow, match=reason):
            control.retry(job=job, by=by)


@pytest.mark.parametrize("right", ["see", "arguments", "cancel"])
def test_a_rule_gives_a_right_to_a_group(job, bob, group, right):
    check = {"see": policies.may_see, "arguments": policies.may_see_arguments, "cancel": policies.may_cancel}[right]
    assert not check(bob, job)
    getattr(TaskRule.objects.create(task="demo.echo"), right).add(group)
    assert check(User.objects.get(pk=bob.pk), job)


def test_jobs_are_visible_to_owner_staff_and_who_a_rule_names(job, ada, bob, staff, group):
    def seen(user):
        return list(Job.objects.visible_to(user))

    assert seen(ada) == seen(staff) == [job]
    assert seen(bob) == seen(AnonymousUser()) == []
    TaskRule.objects.create(task="demo.echo").see.add(group)
    assert seen(User.objects.get(pk=bob.pk)) == [job]


def test_files_are_visible_to_who_may_see_results(job, ada, bob, staff, group):
    own = StoredFile.objects.create(name="a", size=1, owner=bob)
    made = StoredFile.objects.create(name="b", size=1, job_id=job.pk)
    assert set(StoredFile.objects.visible_to(staff)) == {own, made}
    assert set(StoredFile.objects.visible_to(ada)) == {made}
    assert set(StoredFile.objects.visible_to(bob)) == {own}
    TaskRule.objects.create(task="demo.echo").arguments.add(group)
    assert set(StoredFile.objects.visible_to(User.objects.get(pk=bob.pk))) == {own, made}


def test_an_inactive_account_may_nothing(job, ada):
    ada.is_active = False
    assert not policies.may_see(ada, job)
    assert not policies.may_cancel(ada, job)


@pytest.mark.sql
def test_what_took_the_place_of_a_job_is_asked_to_end_with_it(job, ada):
    facts = {"replaced": {"event": 2}}
    Job.objects.filter(pk=job.pk).update(state=State.QUEUED, queue="", queued_event=1, facts=facts)
    states = {"first": State.SUCCEEDED, "second": State.RUNNING, "third": State.QUEUED, "ended": State.FAILED}
    parents = {"first": job.pk, "second": "first", "third": job.pk, "ended": job.pk}
    for pk, state in states.items():
        Job.objects.create(pk=pk, task="demo.echo", state=state, parent_id=parents[pk])
    Job.objects.create(pk="other", task="demo.echo", state=State.RUNNING, parent_id="another")
    job.refresh_from_db()
    control.cancel(job=job, by=ada)
    asked = Job.objects.exclude(cancel_by="").values_list("pk", flat=True)
    assert set(asked) == {job.pk, "second", "third"}


@pytest.mark.sql
def test_what_a_job_launched_and_does_not_wait_for_goes_on_without_it(job, ada):
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING)
    Job.objects.create(pk="launched", task="demo.echo", state=State.RUNNING, parent_id=job.pk)
    job.refresh_from_db()
    control.cancel(job=job, by=ada)
    assert Job.objects.get(pk="launched").cancel_by == ""
