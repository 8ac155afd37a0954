"""What people do elsewhere reaches the audit: with who, and what really happened."""

import pytest
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobroom import redis
from jobroom.audit.models import Act
from jobroom.jobs import control
from jobroom.jobs.models import Job, State

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


@pytest.fixture
def grace(django_user_model):
    return django_user_model.objects.create_superuser("grace")


def acts() -> list[tuple[str, str, str, str]]:
    return list(Act.objects.order_by("pk").values_list("who", "action", "kind", "target"))


def test_who_cancelled_and_who_retried_a_job_is_kept(grace):
    waits = Job.objects.create(pk="waits", task="demo.echo", state=State.QUEUED, queue="default")
    failed = Job.objects.create(pk="failed", task="demo.echo", state=State.FAILED, kwargs={"text": "x"})
    control.cancel(job=waits, by=grace)
    control.retry(job=failed, by=grace)
    assert acts() == [("grace", "cancelled", "job", "waits"), ("grace", "retried", "job", "failed")]
    assert "will not start any more" in Act.objects.order_by("pk")[0].outcome


def test_what_is_done_to_a_schedule_is_kept(grace, client):
    client.force_login(grace)
    every = IntervalSchedule.objects.create(every=1, period="days")
    row = PeriodicTask.objects.create(name="nightly", task="demo.echo", interval=every)
    for action, form in (("pause", {"reason": "noise"}), ("resume", {}), ("run", {}), ("skip", {}), ("delete", {})):
        assert client.post(f"/schedules/{row.pk}/{action}/", form).status_code == 303
    done = [action for _, action, kind, target in acts() if (kind, target) == ("schedule", "nightly")]
    assert done == ["paused", "resumed", "ran now", "skipped a run of", "deleted"]
    assert Act.objects.order_by("pk")[0].reason == "noise"
