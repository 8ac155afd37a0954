"""Who saves a page that others have saved meanwhile sees both, loses nothing, and chooses."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom.jobs.models import Job, Preset, TaskRule

pytestmark = pytest.mark.django_db

TASK = "common.tasks.clearsessions"


def _text(answer):
    return unescape(answer.content.decode())


def _form(answer):
    """Return the fields of the admin's form as a browser would send them back."""
    form = answer.context["adminform"].form
    data = {}
    for name in form.fields:
        value = form[name].value()
        if hasattr(form[name].field.widget, "widgets"):
            parts = form[name].field.widget.decompress(value)
            data.update({f"{name}_{number}": "" if part is None else str(part) for number, part in enumerate(parts)})
        elif value not in (None, False):
            data[name] = value
    return data


def _schedule():
    every = IntervalSchedule.objects.create(every=15, period="minutes")
    return PeriodicTask.objects.create(name="Clean", task=TASK, interval=every)


def test_the_second_save_of_a_schedule_shows_both_and_the_third_is_meant(admin_client):
    row = _schedule()
    address = reverse("admin:django_celery_beat_periodictask_change", args=[row.pk])
    first, second = (_form(admin_client.get(address)) for _ in range(2))
    assert first["version"]
    assert admin_client.post(address, {**first, "queue": "heavy"}).status_code == 302
    answer = admin_client.post(address, {**second, "description": "Mine", "queue": "ml"})
    assert answer.status_code == 200
    page = _text(answer)
    assert "Others saved this after you opened it, so nothing has been saved." in page
    assert "Stored now: heavy" in page
    assert "\nMine</textarea>" in page
    row.refresh_from_db()
    assert (row.queue, row.description) == ("heavy", "")
    again = {
        **second,
        "description": "Mine",
        "queue": "ml",
        "version": answer.context["adminform"].form["version"].value(),
    }
    assert admin_client.post(address, again).status_code == 302
    row.refresh_from_db()
    assert (row.queue, row.description) == ("ml", "Mine")


def test_what_beat_writes_is_no_conflict(admin_client):
    row = _schedule()
    address = reverse("admin:django_celery_beat_periodictask_change", args=[row.pk])
    data = _form(admin_client.get(address))
    PeriodicTask.objects.update(total_run_count=7)
    assert admin_client.post(address, {**data, "description": "Mine"}).status_code == 302
    row.refresh_from_db()
    assert (row.total_run_count, row.description) == (7, "Mine")


def test_a_crontab_and_a_rule_and_a_person_are_compared_too(admin_client):
    crontab = CrontabSchedule.objects.create(minute="5")
    group = Group.objects.create(name="artists")
    rule = TaskRule.objects.create(task="demo.echo")
    person = User.objects.create_user("ada")
    cases = [
        (crontab, "admin:django_celery_beat_crontabschedule_change", {"minute": "10"}, {"minute": "20"}),
        (rule, "admin:jobroom_jobs_taskrule_change", {"launch": [group.pk]}, {"queues": ["heavy"]}),
        (person, "admin:auth_user_change", {"is_staff": "on"}, {"email": "ada@example.org"}),
    ]
    for row, name, theirs, mine in cases:
        address = reverse(name, args=[row.pk])
        first, second = (_form(admin_client.get(address)) for _ in range(2))
        assert admin_client.post(address, {**first, **theirs}).status_code == 302, name
        answer = admin_client.post(address, {**second, **mine})
        assert answer.status_code == 200, name
        assert "Others saved this after you opened it" in _text(answer), name
    crontab.refresh_from_db()
    rule.refresh_from_db()
    person.refresh_from_db()
    assert (crontab.minute, rule.queues, list(rule.launch.all()), person.is_staff) == ("10", [], [group], True)


def test_the_version_is_no_change_of_its_own(admin_client):
    from django.contrib.admin.models import LogEntry

    rule = TaskRule.objects.create(task="demo.echo")
    address = reverse("admin:jobroom_jobs_taskrule_change", args=[rule.pk])
    assert admin_client.post(address, _form(admin_client.get(address))).status_code == 302
    assert LogEntry.objects.get().get_change_message() == "No fields changed."


def _field(page, name="version"):
    return re.search(f'name="{name}" value="([^"]*)"', page)[1]


def test_a_note_is_not_overwritten_unseen(admin_client):
    job = Job.objects.create(id="noted", task="demo.echo", state="succeeded")
    address = reverse("jobroom:jobs:note", args=[job.pk])
    seen = _field(_text(admin_client.get(job.get_absolute_url())))
    assert admin_client.post(address, {"note": "theirs", "tags": "", "version": seen}).status_code == 303
    answer = admin_client.post(address, {"note": "mine", "tags": "a, b", "version": seen})
    page = _text(answer)
    assert answer.status_code == 409
    assert "The note was changed meanwhile" in page
    assert ">theirs</td>" in page
    assert ">mine</td>" in page
    job.refresh_from_db()
    assert job.note == "theirs"
    again = {"note": _field(page, "note"), "tags": _field(page, "tags"), "version": _field(page)}
    assert admin_client.post(address, again).status_code == 303
    job.refresh_from_db()
    assert (job.note, job.tags) == ("mine", ["a", "b"])


def test_a_preset_is_not_overwritten_unseen(admin_client, admin_user):
    preset = Preset.objects.create(owner=admin_user, task="demo.echo", name="A", arguments={"text": "old"})
    launch, keep = "/tasks/demo.echo/", reverse("jobroom:jobs:keep_preset", args=["demo.echo"])
    seen = _field(_text(admin_client.get(f"{launch}?from-preset={preset.pk}")), "preset-version")
    data = {"preset-name": "A", "text": "mine", "preset-version": seen}
    Preset.objects.update(arguments={"text": "theirs"})
    answer = admin_client.post(keep, data)
    assert answer.status_code == 409
    assert "The preset “A” was changed meanwhile" in _text(answer)
    assert '"theirs"' in _text(answer)
    again = {**data, "preset-version": _field(_text(answer), "preset-version")}
    assert admin_client.post(keep, again).status_code == 303
    assert Preset.objects.get().arguments["text"] == "mine"
    # Who never saw a preset of this name is asked too.
    assert admin_client.post(keep, {"preset-name": "A", "text": "new", "preset-version": ""}).status_code == 409


DEFINITION = "name: stale-test\nnodes:\n  one:\n    task: demo.echo\n    kwargs: {text: %s}\n"


def test_a_definition_follows_only_the_version_that_was_read(admin_client):
    address = "/api/workflows/definitions/"

    def keep(text, **headers):
        return admin_client.post(address, {"text": DEFINITION % text}, content_type="application/json", headers=headers)

    made = keep("first")
    if made.status_code != 201:
        pytest.fail(made.content.decode())
    read = admin_client.get(f"{address}stale-test/")
    assert read["ETag"] == '"1"'
    assert keep("second", **{"If-Match": '"1"'}).status_code == 201
    refused = keep("third", **{"If-Match": '"1"'})
    assert refused.status_code == 412
    assert refused["Content-Type"].startswith("application/problem+json")
    assert 'is "2" now' in refused.json()["detail"]
    assert keep("third", **{"If-Match": '"2"'}).status_code == 201
