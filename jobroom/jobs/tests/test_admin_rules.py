"""Rules, presets and files in the admin; jobs there move by themselves."""

from html import unescape

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse

from jobroom.jobs.models import Job, Preset, State, StoredFile, TaskRule
from jobroom.jobs.tests.events import event, finished, queued, record, started

pytestmark = [pytest.mark.django_db, pytest.mark.sql]
ADD = "/admin/jobroom_jobs/taskrule/add/"


def text(response) -> str:
    """Return the page as it stands."""
    return unescape(response.content.decode())


def test_a_rule_is_chosen_not_typed(as_staff):
    group = Group.objects.create(name="artists")
    page = text(as_staff.get(ADD))
    assert '<option value="demo.echo">demo.echo</option>' in page
    assert 'type="checkbox" name="queues" value="heavy"' in page
    data = {"task": "demo.echo", "launch": [group.pk], "see": [group.pk], "queues": ["heavy", "ml"]}
    assert as_staff.post(ADD, data).status_code == 302
    rule = TaskRule.objects.get()
    assert (rule.task, rule.queues, list(rule.launch.all())) == ("demo.echo", ["heavy", "ml"], [group])
    assert list(rule.cancel.all()) == []
    assert "artists" in text(as_staff.get("/admin/jobroom_jobs/taskrule/"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"task": "no.such"}, "“no.such” is none of the choices"),
        ({"task": ""}, "Choose the task that the rule is for."),
        ({"task": "demo.echo", "queues": ["nowhere"]}, "“nowhere” is none of the choices"),
    ],
)
def test_what_does_not_exist_is_refused(as_staff, data, said):
    answer = as_staff.post(ADD, data)
    assert answer.status_code == 200
    assert said in text(answer)
    assert not TaskRule.objects.exists()


def test_what_is_gone_is_kept_and_marked(as_staff):
    rule = TaskRule.objects.create(task="gone.task", queues=["old", "ml"])
    path = reverse("admin:jobroom_jobs_taskrule_change", args=[rule.pk])
    page = text(as_staff.get(path))
    assert "gone.task (no worker knows it)" in page
    assert "old (no worker of ours serves it)" in page
    assert as_staff.post(path, {"task": "gone.task", "queues": ["old", "ml"]}).status_code == 302
    rule.refresh_from_db()
    assert (rule.task, sorted(rule.queues)) == ("gone.task", ["ml", "old"])


def test_who_may_only_look_changes_no_rule(client):
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_taskrule"))
    client.force_login(viewer)
    rule = TaskRule.objects.create(task="demo.echo")
    path = reverse("admin:jobroom_jobs_taskrule_change", args=[rule.pk])
    assert client.get(path).status_code == 200
    assert client.post(path, {"task": "demo.add"}).status_code == 403


def test_presets_are_read_and_deleted(as_staff, ada):
    preset = Preset.objects.create(name="small", task="demo.echo", owner=ada)
    path = reverse("admin:jobroom_jobs_preset_change", args=[preset.pk])
    assert "small" in text(as_staff.get("/admin/jobroom_jobs/preset/"))
    assert as_staff.get(path).status_code == 200
    assert as_staff.post(path, {"name": "large"}).status_code == 403
    assert (
        as_staff.post(reverse("admin:jobroom_jobs_preset_delete", args=[preset.pk]), {"post": "yes"}).status_code == 302
    )
    assert not Preset.objects.exists()


def test_files_are_read_only_and_found(as_staff):
    file = StoredFile.objects.create(name="bunny.ply", size=7, job_id="j1")
    for term in (str(file.pk), "j1", ""):
        assert "bunny.ply" in text(as_staff.get("/admin/jobroom_jobs/storedfile/", {"q": term}))
    assert "bunny.ply" not in text(as_staff.get("/admin/jobroom_jobs/storedfile/", {"q": "other"}))
    path = reverse("admin:jobroom_jobs_storedfile_change", args=[file.pk])
    assert as_staff.get(path).status_code == 200
    assert as_staff.post(path, {"name": "x"}).status_code == 403
    assert (
        as_staff.post(reverse("admin:jobroom_jobs_storedfile_delete", args=[file.pk]), {"post": "yes"}).status_code
        == 403
    )


def test_a_running_job_is_a_live_region(as_staff):
    job = record(queued(1), started(2), event(3, "progress", execution="a", fraction=0.25, message="Quarter"))
    page = text(as_staff.get(reverse("admin:jobroom_jobs_job_change", args=["job"])))
    assert f'id="job-live" data-live="job:job" data-seq="{job.last_event}" data-refresh="5"' in page
    assert '<progress data-progress max="1" value="0.250">' in page
    assert "jobroom/js/live.js" in page
    listed = text(as_staff.get("/admin/jobroom_jobs/job/"))
    assert 'id="jobs-live" data-live="jobs"' in listed
    assert 'value="0.250"' in listed
    record(finished(4))
    page = text(as_staff.get(reverse("admin:jobroom_jobs_job_change", args=["job"])))
    assert 'data-refresh="0"' in page
    assert "<progress" not in page


def test_schedules_show_the_progress_of_their_jobs(as_staff):
    from django.apps import apps

    interval = apps.get_model("django_celery_beat", "IntervalSchedule").objects.create(every=1, period="days")
    row = apps.get_model("django_celery_beat", "PeriodicTask").objects.create(
        name="Nightly", task="demo.echo", interval=interval
    )
    path = reverse("admin:django_celery_beat_periodictask_changelist")
    form = reverse("admin:django_celery_beat_periodictask_change", args=[row.pk])
    record(queued(1, schedule="Nightly"), started(2), event(3, "progress", execution="a", fraction=0.5))
    for page in (text(as_staff.get(path)), text(as_staff.get(form))):
        assert f'id="schedule-{row.pk}" data-live="job:job"' in page
        assert '<progress data-progress max="1" value="0.500">' in page
        assert "jobroom/js/live.js" in page
    assert 'id="schedules-live" data-live="jobs"' in text(as_staff.get(path))
    record(finished(4))
    page = text(as_staff.get(path))
    assert f'id="schedule-{row.pk}">' in page
    assert "Succeeded" in page
    assert "<progress" not in page


def test_a_waiting_job_of_a_schedule_is_listed_above(as_staff):
    Job.objects.create(pk="j", schedule="Nightly", state=State.QUEUED)
    page = text(as_staff.get(reverse("admin:django_celery_beat_periodictask_changelist")))
    assert '<a href="/jobs/j/">Nightly</a>' in page
