"""The schedules' pages in the admin."""

import json
from datetime import timedelta

import pytest
from celery import Celery, current_app
from celery.app import app_or_default
from celery.signals import before_task_publish
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from jobroom.celery import tracker
from jobroom.jobs.models import Job
from jobroom.schedules.services import merge_settings

pytestmark = pytest.mark.django_db

TASK = "common.tasks.clearsessions"
LIST = "admin:django_celery_beat_periodictask_changelist"


@pytest.fixture
def row():
    every = IntervalSchedule.objects.create(every=15, period="minutes")
    return PeriodicTask.objects.create(name="Clean up", task=TASK, interval=every)


@pytest.fixture
def sent():
    """What was published: headers, with the task and who launched it."""
    found = []

    def collect(sender, headers, **kwargs):
        found.append({**headers, "task": sender, "source": tracker.source.get(), "queue": kwargs["routing_key"]})

    before_task_publish.connect(collect)
    yield found
    before_task_publish.disconnect(collect)
    current_app.control.purge()


def _page(client, **query):
    answer = client.get(reverse(LIST), query)
    assert answer.status_code == 200
    return answer.content.decode()


def _run(client, row):
    return client.post(reverse("admin:schedules_run", args=[row.pk]), follow=True).content.decode()


def test_the_list_says_what_runs_when_and_how_it_went(admin_client, row):
    ended = timezone.now()
    Job.objects.create(id="old", task=TASK, schedule=row.name, state="failed", created_at=ended - timedelta(hours=1))
    Job.objects.create(id="new", task=TASK, schedule=row.name, state="succeeded", finished_at=ended)
    Job.objects.create(id="other", task=TASK, state="lost")
    page = _page(admin_client)
    assert "every 15 minutes" in page
    assert f"✔ Succeeded, {ended:%Y-%m-%d %H:%M:%S}" in page
    assert "Failed" not in page
    assert "added here" in page


def test_the_list_takes_the_same_queries_for_any_number_of_rows(admin_client, row, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    _page(admin_client)
    with CaptureQueriesContext(
        connection,
    ) as few:
        _page(admin_client)
    merge_settings({f"S {n}": {"task": TASK, "schedule": n + 1} for n in range(10)})
    for number in range(10):
        crontab = CrontabSchedule.objects.create(minute=str(number))
        PeriodicTask.objects.create(name=f"C {number}", task=TASK, crontab=crontab)
        Job.objects.create(id=str(number), task=TASK, schedule=f"C {number}")
    with django_assert_num_queries(len(few)):
        _page(admin_client)


def test_a_schedule_of_the_settings_is_marked_and_so_is_what_was_edited(admin_client):
    merge_settings(
        {"A": {"task": TASK, "schedule": 60}, "B": {"task": TASK, "schedule": 60}, "C": {"task": TASK, "schedule": 9}}
    )
    PeriodicTask.objects.filter(name="B").update(enabled=False, queue="heavy")
    merge_settings({"A": {"task": TASK, "schedule": 60}, "B": {"task": TASK, "schedule": 60}})
    page = _page(admin_client)
    assert "from settings, edited here: queue, enabled" in page
    assert "was in settings as “C”" in page
    assert "B" not in [
        row.name for row in admin_client.get(reverse(LIST), {"origin": "admin"}).context["cl"].result_list
    ]


def test_a_broken_row_is_shown_and_not_a_traceback(admin_client, row):
    crontab = CrontabSchedule.objects.create(minute="nonsense")
    PeriodicTask.objects.filter(pk=row.pk).update(interval=None, crontab=crontab, task="gone", args="no json")
    PeriodicTask.objects.bulk_create([PeriodicTask(name="nothing", task=TASK)])
    page = _page(admin_client)
    assert "not registered" in page
    assert "✖ never: nonsense" in page
    assert "never: it has no schedule" in page
    for broken in PeriodicTask.objects.all():
        url = reverse("admin:django_celery_beat_periodictask_change", args=[broken.pk])
        assert admin_client.get(url).status_code == 200
    assert "“gone” is not a registered task" in _run(admin_client, row)
    assert admin_client.get(reverse("admin:django_celery_beat_crontabschedule_changelist")).status_code == 200


@pytest.mark.django_db(transaction=True)  # jobs are sent when the transaction commits
def test_run_now_sends_the_job_and_names_it(admin_client, row, sent):
    PeriodicTask.objects.update(queue="heavy", headers='{"x": "y"}', expires=timezone.now() - timedelta(days=1))
    before = PeriodicTask.objects.values().get()
    page = _run(admin_client, row)
    [headers] = sent
    assert (headers["task"], headers["queue"], headers["x"]) == (TASK, "heavy", "y")
    assert (headers["periodic_task_name"], headers["source"], headers["expires"]) == ("Clean up", "page", None)
    assert f"was sent as job {headers['id']}" in page.replace(f'<a href="/jobs/{headers["id"]}/">', "").replace(
        "</a>", ""
    )
    assert PeriodicTask.objects.values().get() == before  # its next run is not disturbed
    assert tracker.source.get() is None


@pytest.mark.django_db(transaction=True)  # jobs are sent when the transaction commits
def test_run_now_says_what_is_wrong_with_the_arguments(admin_client, row, sent):
    PeriodicTask.objects.update(kwargs='{"x": 1}')
    assert "“x” is not an argument of the task" in _run(admin_client, row)
    PeriodicTask.objects.update(kwargs="{", args="[]")
    assert "kwargs is no JSON" in _run(admin_client, row)
    assert sent == []


@pytest.mark.django_db(transaction=True)  # jobs are sent when the transaction commits
def test_run_now_says_when_the_broker_is_away(admin_client, row):
    app = app_or_default()
    try:
        nowhere = Celery("nowhere", broker="redis://127.0.0.1:1/0")
        nowhere.conf.update(task_publish_retry=False, broker_connection_timeout=0.2)
        page = _run(admin_client, row)
    finally:
        app.set_current()
    assert "“Clean up” was not run: The broker does not answer, nothing was sent." in page


def test_the_buttons_want_a_post_a_token_and_the_permission(admin_client, row, sent):
    url = reverse("admin:schedules_run", args=[row.pk])
    assert admin_client.get(url).status_code == 405
    assert admin_client.post(reverse("admin:schedules_run", args=[999_999])).status_code == 404
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="admin"))
    assert strict.post(url).status_code == 403
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_periodictask"))
    client = Client()
    client.force_login(reader)
    assert client.post(url).status_code == 403
    assert "formaction" not in _page(client)
    assert sent == []


@pytest.mark.django_db(transaction=True)  # jobs are sent when the transaction commits
def test_the_buttons_in_the_list_carry_its_token(admin_client, row, sent):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="admin"))
    page = strict.get(reverse(LIST)).content.decode()
    url = reverse("admin:schedules_run", args=[row.pk])
    assert f'formaction="{url}"' in page
    form = page[page.index('id="changelist-form"') :]
    token = form.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    answer = strict.post(
        url, {"csrfmiddlewaretoken": token}, headers={"referer": f"http://testserver{reverse(LIST)}?q=Clean"}
    )
    assert (answer.status_code, answer["Location"]) == (303, f"http://testserver{reverse(LIST)}?q=Clean")
    assert len(sent) == 1


def test_someone_elses_page_is_not_returned_to(admin_client, row, sent):
    url = reverse("admin:schedules_run", args=[row.pk])
    answer = admin_client.post(url, headers={"referer": "https://evil.example/"})
    assert answer["Location"] == reverse(LIST)


def test_the_toggle_counts_from_now(admin_client, row):
    long_ago = timezone.now() - timedelta(days=9)
    PeriodicTask.objects.update(last_run_at=long_ago, date_changed=long_ago, enabled=False)
    PeriodicTasks.objects.update(last_update=long_ago)
    url = reverse("admin:schedules_toggle", args=[row.pk])
    assert "“Clean up” is enabled." in admin_client.post(url, follow=True).content.decode()
    row.refresh_from_db()
    assert (row.enabled, row.last_run_at) == (True, None)
    assert row.date_changed > long_ago
    assert PeriodicTasks.last_change() > long_ago
    assert "“Clean up” is disabled." in admin_client.post(url, follow=True).content.decode()


@pytest.mark.django_db(transaction=True)  # jobs are sent when the transaction commits
def test_the_actions_work_on_many(admin_client, row, sent):
    other = PeriodicTask.objects.create(name="Other", task=TASK, interval=row.interval, enabled=False)
    chosen = {"_selected_action": [row.pk, other.pk]}
    for action, said in (
        ("enable_selected", "1 enabled"),
        ("disable_selected", "2 disabled"),
        ("run_selected", "“Other” was sent as job"),
    ):
        page = admin_client.post(reverse(LIST), {"action": action, **chosen}, follow=True).content.decode()
        assert said in page
    assert [headers["periodic_task_name"] for headers in sent] == ["Clean up", "Other"]


def _form(row, **fields):
    data = {
        "name": row.name, "task": row.task, "args": row.args, "kwargs": row.kwargs, "headers": "{}",
        "enabled": "on" if row.enabled else "", "interval": row.interval_id or "", "crontab": row.crontab_id or "",
    }  # fmt: skip
    return {**data, **fields}


def _save(client, row, **fields):
    url = reverse("admin:django_celery_beat_periodictask_change", args=[row.pk])
    return client.post(url, _form(row, **fields))


def test_saving_does_not_undo_what_beat_wrote_meanwhile(admin_client, row, monkeypatch):
    from jobroom.schedules.forms import PeriodicTaskForm

    moment = timezone.now()

    def clean(form):
        PeriodicTask.objects.update(last_run_at=moment, total_run_count=5)  # after the form has read the row
        return form.cleaned_data

    monkeypatch.setattr(PeriodicTaskForm, "clean", clean)
    assert _save(admin_client, row, description="New").status_code == 302
    row.refresh_from_db()
    assert (row.description, row.last_run_at, row.total_run_count) == ("New", moment, 5)


def test_new_timing_does_not_make_the_schedule_due_at_once(admin_client, row):
    PeriodicTask.objects.update(last_run_at=timezone.now() - timedelta(hours=3))
    other = IntervalSchedule.objects.create(every=1, period="hours")
    assert _save(admin_client, row, interval=other.pk).status_code == 302
    row.refresh_from_db()
    assert (row.interval, row.last_run_at) == (other, None)


def test_an_edited_interval_does_not_make_its_schedules_due_at_once(admin_client, row):
    long_ago = timezone.now() - timedelta(days=1)
    PeriodicTask.objects.update(last_run_at=long_ago, date_changed=long_ago)
    url = reverse("admin:django_celery_beat_intervalschedule_change", args=[row.interval.pk])
    assert admin_client.post(url, {"every": 2, "period": "hours"}).status_code == 302
    row.refresh_from_db()
    assert row.last_run_at is None
    assert row.date_changed > long_ago


def test_a_wrong_form_shows_the_error_and_keeps_what_was_typed(admin_client, row):
    answer = _save(admin_client, row, kwargs='{"typed": 1}')
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "“typed” is not an argument of the task" in page
    assert "{&quot;typed&quot;: 1}" in page


def test_a_schedule_can_be_added(admin_client):
    every = IntervalSchedule.objects.create(every=1, period="hours")
    row = PeriodicTask(name="Mine", task=TASK, interval=every)
    url = reverse("admin:django_celery_beat_periodictask_add")
    assert "<optgroup" in admin_client.get(url).content.decode()
    assert admin_client.post(url, _form(row)).status_code == 302
    assert json.loads(PeriodicTask.objects.get(name="Mine").kwargs) == {}


def test_the_change_page_shows_the_next_runs_and_run_now(admin_client, row):
    page = admin_client.get(reverse("admin:django_celery_beat_periodictask_change", args=[row.pk])).content.decode()
    assert reverse("admin:schedules_run", args=[row.pk]) in page
    assert f"{timezone.now() + timedelta(minutes=75):%Y-%m-%d %H}" in page


def test_a_schedule_of_the_settings_cannot_be_deleted_and_says_why(admin_client, row):
    merge_settings({"A": {"task": TASK, "schedule": 60}})
    chosen = PeriodicTask.objects.get(name="A")
    url = reverse("admin:django_celery_beat_periodictask_delete", args=[chosen.pk])
    assert "disable it instead" in admin_client.get(url).content.decode()
    admin_client.post(url, {"post": "yes"})
    both = {"action": "delete_selected", "_selected_action": [row.pk, chosen.pk], "post": "yes"}
    assert "disable it instead" in admin_client.post(reverse(LIST), both).content.decode()
    assert PeriodicTask.objects.count() == 2
    merge_settings({})
    admin_client.post(url, {"post": "yes"})
    assert not PeriodicTask.objects.filter(name="A").exists()


def test_the_timings_have_their_pages(admin_client, row):
    CrontabSchedule.objects.create(minute="*/15")
    ClockedSchedule.objects.create(clocked_time=timezone.now())
    for model, said in (
        ("crontabschedule", "every 15 minutes (UTC)"),
        ("intervalschedule", "1 schedule"),
        ("clockedschedule", "0 schedules"),
        ("solarschedule", "0 solar events"),
    ):
        page = admin_client.get(reverse(f"admin:django_celery_beat_{model}_changelist")).content.decode()
        assert said in page
        add = admin_client.get(reverse(f"admin:django_celery_beat_{model}_add"))
        assert add.status_code == 200
    nonsense = {"minute": "x", "hour": "*", "day_of_month": "*", "month_of_year": "*", "day_of_week": "*"}
    answer = admin_client.post(reverse("admin:django_celery_beat_crontabschedule_add"), {**nonsense, "timezone": "UTC"})
    assert "“x” is not understood" in answer.content.decode()
