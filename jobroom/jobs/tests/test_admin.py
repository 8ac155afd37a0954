"""The admin shows the history and changes nothing."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from jobroom.jobs.admin_base import ReadOnly, job_link
from jobroom.jobs.models import Attempt, Job, Preset, State
from jobroom.jobs.tests.events import finished, queued, record, started

pytestmark = pytest.mark.django_db
MODELS = [
    "jobroom_jobs_job",
    "jobroom_jobs_attempt",
    "django_celery_results_taskresult",
    "django_celery_results_groupresult",
]


@pytest.fixture(autouse=True)
def _history(db):
    record(queued(1, schedule="nightly"), started(2), finished(3, result="7"))


@pytest.mark.parametrize("model", MODELS)
def test_lists_open_and_search(as_staff, model):
    path = reverse(f"admin:{model}_changelist")
    assert as_staff.get(path).status_code == 200
    assert as_staff.get(path, {"q": "job"}).status_code == 200
    assert as_staff.get(path, {"q": "nothing like it"}).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_no_one_adds(as_staff, model):
    assert as_staff.get(reverse(f"admin:{model}_add")).status_code == 403


def test_a_job_is_read_only(as_staff):
    path = reverse("admin:jobroom_jobs_job_change", args=["job"])
    page = as_staff.get(path)
    assert page.status_code == 200
    assert b'name="_save"' not in page.content
    assert as_staff.post(path, {"state": "failed"}).status_code == 403
    assert as_staff.post(reverse("admin:jobroom_jobs_job_delete", args=["job"]), {"post": "yes"}).status_code == 403


def test_an_archived_result_is_read_only(as_staff):
    from django_celery_results.models import TaskResult

    path = reverse("admin:django_celery_results_taskresult_change", args=[TaskResult.objects.get().pk])
    assert as_staff.get(path).status_code == 200
    assert as_staff.post(path, {"status": "FAILURE"}).status_code == 403


def test_presets_and_dead_letters_are_deleted_by_hand_and_not_written():
    site, boss = admin.site, SimpleNamespace(user=User(is_staff=True, is_superuser=True))
    assert {model.__name__ for model, one in site._registry.items() if getattr(one, "deletable", False)} == {
        "Preset",
        "DeadLetter",
    }
    for model, one in site._registry.items():
        if isinstance(one, ReadOnly):
            rights = one.has_add_permission(boss), one.has_change_permission(boss), one.has_delete_permission(boss)
            assert rights == (False, False, one.deletable), model
    assert not site._registry[Preset].has_delete_permission(
        SimpleNamespace(user=User.objects.create_user("clerk", is_staff=True))
    )


def test_a_link_to_a_job_shows_its_id_or_a_text_and_no_address_that_does_not_exist():
    assert job_link("x", "<run>") == '<a href="/jobs/x/">&lt;run&gt;</a>'
    assert [job_link(""), job_link("a/b"), job_link("a/b", "run")] == ["-", "a/b", "run"]


def test_an_attempt_opens(as_staff):
    assert (
        as_staff.get(reverse("admin:jobroom_jobs_attempt_change", args=[Attempt.objects.get().pk])).status_code == 200
    )


@pytest.mark.parametrize(
    ("query", "found"), [("job", True), ("add", True), ("nightly", True), ("ad", False), ("\x00", True)]
)
def test_jobs_are_found_by_whole_names(as_staff, query, found):
    page = as_staff.get(reverse("admin:jobroom_jobs_job_changelist"), {"q": query})
    assert (reverse("admin:jobroom_jobs_job_change", args=["job"]).encode() in page.content) is found


def test_jobs_are_filtered_by_state(as_staff):
    path = reverse("admin:jobroom_jobs_job_changelist")
    link = reverse("admin:jobroom_jobs_job_change", args=["job"]).encode()
    assert link in as_staff.get(path, {"state": "succeeded"}).content
    assert link not in as_staff.get(path, {"state": "failed"}).content


def test_results_are_filtered_by_status(as_staff):
    path = reverse("admin:django_celery_results_taskresult_changelist")
    assert b"1 task result" in as_staff.get(path, {"status": "SUCCESS"}).content
    assert b"0 task results" in as_staff.get(path, {"status": "REVOKED"}).content


def test_the_list_counts_once_and_selects_no_long_columns(as_staff, django_assert_max_num_queries):
    with django_assert_max_num_queries(7) as context:
        as_staff.get(reverse("admin:jobroom_jobs_job_changelist"))
    lists = [q["sql"] for q in context.captured_queries if '"jobroom_jobs_job"' in q["sql"] and "COUNT" not in q["sql"]]
    assert lists
    assert not any("traceback" in sql for sql in lists)


def test_lists_are_never_counted_to_the_end(as_staff, monkeypatch):
    monkeypatch.setattr("jobroom.jobs.admin_base.MOST_COUNTED", 2)
    Job.objects.bulk_create(Job(pk=f"{n}") for n in range(5))
    assert b"2 results" in as_staff.get(reverse("admin:jobroom_jobs_job_changelist"), {"q": ""}).content


@pytest.fixture
def _small_steps(monkeypatch):
    """Look at five rows, and begin no second window."""
    monkeypatch.setattr("jobroom.jobs.search.WINDOW", 5)
    monkeypatch.setattr("jobroom.jobs.admin_base.LOOKED", 0)


def many(task: str, state: State, count: int, **values) -> None:
    """Add so many jobs, the last ones the newest."""
    now = timezone.now()
    Job.objects.bulk_create(
        Job(pk=f"{task}-{state}-{n}", task=task, state=state, created_at=now + timedelta(seconds=n), **values)
        for n in range(count)
    )


def test_a_task_and_a_state_together_are_found(as_staff):
    many("add", State.FAILED, 3)
    many("other", State.FAILED, 3)
    page = as_staff.get(reverse("admin:jobroom_jobs_job_changelist"), {"q": "add", "state": "failed"}).content.decode()
    assert "3 jobs" in page
    assert "other-failed" not in page
    assert "Looked at the jobs since" not in page


def test_a_schedule_and_a_state_together_are_found(as_staff):
    many("add", State.FAILED, 2, schedule="weekly")
    page = as_staff.get(
        reverse("admin:jobroom_jobs_job_changelist"), {"q": "weekly", "state": "failed"}
    ).content.decode()
    assert "2 jobs" in page


@pytest.mark.usefixtures("_small_steps")
def test_a_task_and_a_state_are_looked_for_a_bounded_piece_at_a_time(as_staff, django_assert_max_num_queries):
    many("add", State.SUCCEEDED, 40)
    many("other", State.FAILED, 40)
    with django_assert_max_num_queries(14):
        page = as_staff.get(
            reverse("admin:jobroom_jobs_job_changelist"), {"q": "add", "state": "failed"}
        ).content.decode()
    assert "0 jobs" in page
    assert "Looked at the jobs since" in page


def test_a_term_means_the_same_whatever_is_filtered_beside_it(as_staff):
    many("nightly", State.FAILED, 1)  # a task that is called like a schedule
    page = as_staff.get(
        reverse("admin:jobroom_jobs_job_changelist"), {"q": "nightly", "state": "succeeded"}
    ).content.decode()
    assert "0 jobs" in page
