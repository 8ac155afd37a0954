"""The overview: the last day by hours, why jobs failed, what waits for the person and what comes next."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from jobroom.jobs import hourly_counts, recent_failures, throughput
from jobroom.jobs.models import Job, State, TaskRule
from jobroom.jobs.signals import attention_asked, coming_asked
from jobroom.jobs.views import pages

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_moment", "empty_redis")]


def ended(pk, state=State.SUCCEEDED, ago=timedelta(minutes=1), **fields):
    at = timezone.now() - ago
    return Job.objects.create(
        **{"pk": str(pk), "task": "demo.echo", "state": state, "finished_at": at, "created_at": at, **fields}
    )


def test_hours_hold_what_ended_in_them(staff):
    ended(1)
    ended(2, State.FAILED, timedelta(hours=3))
    ended(3, State.LOST, timedelta(hours=3))
    ended(4, State.CANCELLED, timedelta(hours=23))
    ended(5, State.SUCCEEDED, timedelta(hours=30))  # the day before
    # Launched long ago, ended in this hour: counted where it ended.
    ended(6, State.SUCCEEDED, timedelta(minutes=1), created_at=timezone.now() - timedelta(days=3))
    Job.objects.create(pk="7", task="demo.echo", state=State.RUNNING)
    hourly_counts.recount(timezone.now() - timedelta(hours=30))
    day = throughput.day_of(staff)
    assert day.numbers == {"succeeded": 2, "failed": 2, "others": 1}
    assert len(day.hours) == 24
    for hour in day.hours:
        inside = Job.objects.filter(
            finished_at__gte=hour.begin, finished_at__lt=hour.begin + timedelta(hours=1)
        ).exclude(state=State.RUNNING)
        assert hour.total == inside.count()
    assert throughput.summary(day) == "2 succeeded, 2 failed or lost, 1 cancelled or skipped"
    assert "2 succeeded" in throughput.picture(day)


def test_each_person_sees_their_own_day(staff, ada):
    ended(1, owner=ada)
    ended(2)
    hourly_counts.recount(timezone.now() - timedelta(hours=30))
    assert throughput.day_of(ada).total == 1
    assert throughput.day_of(staff).total == 2
    group = Group.objects.create(name="readers")
    ada.groups.add(group)
    TaskRule.objects.create(task="demo.echo").see.add(group)
    assert throughput.day_of(User.objects.get(pk=ada.pk)).total == 2


def test_failures_for_the_same_reason_are_one_cause(as_staff, staff):
    for n in range(3):
        ended(n, State.FAILED, error_type="ValueError", error=f"Row {n} of 'sheep{n}.csv' is empty\nmore")
    ended(4, State.FAILED, error_type="KeyError", error="'x'")
    ended(5, State.LOST)
    ended(6, State.FAILED, timedelta(days=2), error_type="ValueError", error="Row 9 of 'a' is empty")
    found, more = recent_failures.of_last_day(staff)
    assert (found[0].kind, found[0].count) == ("ValueError", 3)
    assert {one.kind for one in found} == {"ValueError", "KeyError", "its worker vanished"}
    assert not more
    page = as_staff.get("/").content.decode()
    assert "3\u00d7" in page
    link = unescape(re.search(r'class="cause-number" href="([^"]+)"', page)[1])
    assert as_staff.get(link).status_code == 200


def test_errors_of_others_are_not_read_by_who_may_not(ada):
    group = Group.objects.create(name="viewers")
    ada.groups.add(group)
    TaskRule.objects.create(task="demo.echo").see.add(group)
    ended(1, State.FAILED, error_type="SecretError", error="hush")
    ((cause,), _) = recent_failures.of_last_day(User.objects.get(pk=ada.pk))
    assert (cause.kind, cause.sentence, cause.count) == ("", "", 1)


def test_what_waits_and_what_comes_is_asked_of_the_other_apps(as_staff):
    ended(1)

    def waits(user, **_):
        return [("Release the sheep?", "/workflows/decisions/")]

    def comes(user, **_):
        return [(timezone.now() + timedelta(minutes=5), "Nightly", "/schedules/1/")]

    attention_asked.connect(waits)
    coming_asked.connect(comes)
    try:
        page = as_staff.get("/").content.decode()
    finally:
        attention_asked.disconnect(waits)
        coming_asked.disconnect(comes)
    assert "Release the sheep?" in page
    assert "Nightly" in page
    assert ">default</a>" in page  # the queues, for staff


def test_someone_new_is_offered_three_real_tasks(as_staff, as_ada):
    page = as_ada.get("/").content.decode()
    assert "administrator can open tasks" in page
    as_ada.force_login(User.objects.get(username="grace"))
    page = as_ada.get("/").content.decode()
    assert "Launch your first job" in page
    offered = re.findall(r'<li><a class="button-like" href="(/tasks/[^"]+)"', page)
    assert len(offered) == 3
    for address in offered:
        assert as_ada.get(address).status_code == 200


def test_a_job_that_ends_while_the_page_is_made_does_not_run(as_staff, monkeypatch):
    for number in range(2):
        Job.objects.create(id=f"goes-on-{number}", task="demo.wait", state=State.RUNNING, started_at=timezone.now())
    fetch = pages.jobs_at

    def jobs_later(places):
        Job.objects.filter(pk="goes-on-1").update(state=State.SUCCEEDED, finished_at=timezone.now())
        return fetch(places)

    monkeypatch.setattr(pages, "jobs_at", jobs_later)
    shown = as_staff.get("/").context
    assert [job.pk for job in shown["running"]] == ["goes-on-0"]
    assert {job.pk for job in shown["latest"]} == {"goes-on-0", "goes-on-1"}
