"""The schedules' own pages and API: owners see and change theirs, staff all."""

import datetime
import json
from datetime import UTC, timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobroom import redis
from jobroom.jobs.models import Job, State, TaskRule
from jobroom.schedules import policies, services
from jobroom.schedules.services import notation, pauses
from jobroom.schedules.views import form as views

pytestmark = pytest.mark.django_db
NEW = "/schedules/new/?task=demo.echo"
HOURLY = {"schedule-kind": "every", "schedule-every": "2", "schedule-period": "hours", "schedule-queue": "default"}


@pytest.fixture(autouse=True)
def _empty():
    redis.client().flushdb()


@pytest.fixture
def ada(client):
    user = User.objects.create_user("ada")
    group = Group.objects.create(name="artists")
    user.groups.add(group)
    TaskRule.objects.create(task="demo.echo").launch.add(group)
    client.force_login(user)
    return user


def made(owner=None, name="Greet", **fields) -> PeriodicTask:
    hourly, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    headers = json.dumps({"owner": owner.pk}) if owner else "{}"
    return PeriodicTask.objects.create(
        **{"name": name, "task": "demo.echo", "interval": hourly, "kwargs": '{"text": "hi"}', "headers": headers}
        | fields
    )


def page(client, address, **data):
    return client.get(address, data).content.decode()


def test_a_person_without_staff_makes_sees_and_changes_their_schedule(client, ada):
    answer = client.post(NEW, {**HOURLY, "text": "hello", "schedule-name": "Mine", "schedule-description": "to see"})
    row = PeriodicTask.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, f"/schedules/{row.pk}/")
    assert (row.name, row.interval.every, json.loads(row.kwargs)) == ("Mine (ada)", 2, {"text": "hello"})
    assert policies.owner_id(row) == ada.pk
    assert "Mine (ada)" in page(client, "/schedules/")
    shown = page(client, f"/schedules/{row.pk}/")
    assert shown.count("<li>") >= 10  # ten next runs
    assert "Every 2 hours." in shown
    form = page(client, f"/schedules/{row.pk}/edit/")
    assert 'value="hello"' in form
    assert 'value="to see"' in form
    changed = {"schedule-kind": "cron", "schedule-cron": "0 6 * * 1-5", "schedule-queue": "default", "text": "bye"}
    answer = client.post(f"/schedules/{row.pk}/edit/", {**changed, "schedule-name": "Mine (ada)"})
    assert answer.status_code == 303, answer.content.decode()
    row.refresh_from_db()
    assert (row.interval, notation.written(row), json.loads(row.kwargs)) == (None, "0 6 * * 1-5", {"text": "bye"})
    assert (row.name, policies.owner_id(row)) == ("Mine (ada)", ada.pk)


def test_schedules_of_others_and_of_the_site_are_not_there(client, ada):
    other = User.objects.create_user("eve")
    # Ids of which one begins with the other.
    far = User.objects.create(pk=int(f"{ada.pk}7"), username="far")
    rows = [made(other, "Of Eve"), made(None, "Of the site"), made(far, "Of far")]
    listed = page(client, "/schedules/")
    for row in rows:
        assert row.name not in listed
        for action in ("", "edit/"):
            assert client.get(f"/schedules/{row.pk}/{action}").status_code == 404
        for action in ("pause", "resume", "run", "skip", "delete"):
            assert client.post(f"/schedules/{row.pk}/{action}/").status_code == 404
        assert client.get(f"/api/schedules/{row.pk}/").status_code == 404
    assert client.get("/api/schedules/").json()["results"] == []


def test_staff_see_and_change_all(admin_client, ada):
    row = made(ada)
    assert "Greet" in page(admin_client, "/schedules/")
    assert "Greet" in page(admin_client, "/schedules/", owner="ada")
    assert "Greet" not in page(admin_client, "/schedules/", owner="me")
    data = {**HOURLY, "text": "by staff", "schedule-name": "Greet"}
    assert admin_client.post(f"/schedules/{row.pk}/edit/", data).status_code == 303
    row.refresh_from_db()
    assert (json.loads(row.kwargs), policies.owner_id(row)) == ({"text": "by staff"}, ada.pk)


def test_what_its_owner_may_not_have_is_refused_to_staff_too(admin_client, ada):
    row = made(ada)
    TaskRule.objects.all().delete()
    answer = admin_client.post(f"/schedules/{row.pk}/edit/", {**HOURLY, "text": "x", "schedule-name": "Greet"})
    assert answer.status_code == 422
    assert json.loads(PeriodicTask.objects.get().kwargs) == {"text": "hi"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({**HOURLY, "schedule-every": "0"}, "greater than or equal to 1"),
        ({"schedule-kind": "cron", "schedule-cron": "0 6 * *"}, "has 4 fields and not five"),
        ({"schedule-kind": "cron"}, "There is nothing here"),
        ({"schedule-kind": "once"}, "There is nothing here"),
        ({"schedule-kind": "once", "schedule-at": "2020-01-01T10:00"}, "has passed"),
        ({"schedule-kind": "never"}, "not one of the available choices"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(client, ada, data, said):
    answer = client.post(NEW, {"schedule-queue": "default", "text": "typed words", **data})
    assert answer.status_code == 422
    text = answer.content.decode()
    assert said in text
    assert 'value="typed words"' in text
    assert not PeriodicTask.objects.exists()


def test_once(client, ada):
    at = timezone.now() + timedelta(days=3)
    client.post(NEW, {"schedule-kind": "once", "schedule-at": f"{at:%Y-%m-%dT%H:%M}", "text": "x"})
    row = PeriodicTask.objects.get()
    assert (row.one_off, row.clocked.clocked_time) == (True, at.replace(second=0, microsecond=0))
    assert services.next_runs(row, 10) == [row.clocked.clocked_time]


def test_the_preview_says_what_is_typed(client, ada):
    shown = page(client, "/schedules/preview/", **{"schedule-kind": "cron", "schedule-cron": "0 6 * * 1-5"})
    assert shown.count("<li>") == 10
    assert "Monday" in shown
    assert "has 2 fields" in page(client, "/schedules/preview/", **{"schedule-kind": "cron", "schedule-cron": "0 6"})
    assert not IntervalSchedule.objects.filter(every=77).exists()
    page(client, "/schedules/preview/", **{**HOURLY, "schedule-every": "77"})
    assert not IntervalSchedule.objects.filter(every=77).exists()  # nothing is stored by looking


def test_pause_says_who_and_why_until_it_is_resumed(client, ada):
    row = made(ada)
    client.post(f"/schedules/{row.pk}/pause/", {"reason": "the sheep are shorn"})
    row.refresh_from_db()
    assert not row.enabled
    shown = page(client, f"/schedules/{row.pk}/")
    assert "Paused by ada" in shown
    assert "the sheep are shorn" in shown
    assert "the sheep are shorn" in page(client, "/schedules/", state="paused")
    again = client.post(f"/schedules/{row.pk}/pause/", follow=True).content.decode()
    assert "It is paused already." in again
    client.post(f"/schedules/{row.pk}/resume/")
    assert "shorn" not in page(client, f"/schedules/{row.pk}/")
    # Paused in the admin later, it does not show the old reason.
    PeriodicTask.objects.update(enabled=False)
    assert "shorn" not in page(client, f"/schedules/{row.pk}/")


def test_one_run_is_left_out_and_the_next_takes_place(client, ada):
    row = made(ada)
    before = services.next_runs(row, 2)
    client.post(f"/schedules/{row.pk}/skip/")
    row = PeriodicTask.objects.select_related("detail").get()
    assert abs(row.detail.skip_at - before[0]) < timedelta(seconds=5)
    assert "left out" in page(client, f"/schedules/{row.pk}/")
    now = timezone.now()
    assert pauses.leaves_out(row, [now], [now]) is None  # its time has not come
    row.detail.skip_at = now - timedelta(seconds=1)
    row.detail.save()
    assert pauses.leaves_out(row, [now], [now]) == now
    assert pauses.leaves_out(row, [now], [now]) is None  # only one is
    client.post(f"/schedules/{row.pk}/skip/")
    client.post(f"/schedules/{row.pk}/skip/", {"undo": "1"})
    assert PeriodicTask.objects.select_related("detail").get().detail.skip_at is None


def test_run_now_and_delete(client, ada, django_capture_on_commit_callbacks):
    row = made(ada)
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(f"/schedules/{row.pk}/run/", follow=True)
    assert "was sent as" in answer.content.decode()
    assert redis.client().llen("default") == 1
    TaskRule.objects.all().delete()
    refused = client.post(f"/schedules/{row.pk}/run/", follow=True).content.decode()
    assert "was sent as" not in refused
    assert client.post(f"/schedules/{row.pk}/delete/")["Location"] == "/schedules/"
    assert not PeriodicTask.objects.exists()


def test_rows_show_the_latest_jobs(client, ada):
    made(ada)
    now = timezone.now()
    for n, state in enumerate([State.SUCCEEDED, State.FAILED]):
        Job.objects.create(
            pk=str(n), task="demo.echo", schedule="Greet", owner=ada, state=state, finished_at=now,
            created_at=now - timedelta(minutes=9 - n),
        )  # fmt: skip
    listed = page(client, "/schedules/")
    assert listed.index('aria-label="Succeeded"') < listed.index('aria-label="Failed"')
    assert client.get("/api/schedules/").json()["results"][0]["outcomes"] == ["succeeded", "failed"]


def test_two_who_edit_at_once_are_asked(client, ada):
    row = made(ada)
    form = page(client, f"/schedules/{row.pk}/edit/")
    version = form.partition('name="version" value="')[2].partition('"')[0]
    PeriodicTask.objects.update(kwargs='{"text": "theirs"}')
    data = {**HOURLY, "text": "mine", "schedule-name": "Greet", "version": version}
    answer = client.post(f"/schedules/{row.pk}/edit/", data)
    assert answer.status_code == 409
    assert "theirs" in answer.content.decode()


def test_the_api_changes_nothing_that_others_have_changed_since(client, ada):
    row = made(ada)
    address = f"/api/schedules/{row.pk}/"
    read = client.get(address)["ETag"]

    def change(name, **headers):
        return client.patch(address, {"name": name}, content_type="application/json", headers=headers)

    first = change("Mine", if_match=read)
    assert (first.status_code, first.json()["name"]) == (200, "Mine (ada)")
    refused = change("Theirs", if_match=read)
    assert refused.status_code == 412
    assert first["ETag"] in refused.json()["detail"]
    assert PeriodicTask.objects.get(pk=row.pk).name == "Mine (ada)"
    assert change("Theirs", if_match=first["ETag"]).status_code == 200
    assert change("Any").status_code == 200  # who names none does not ask


def test_what_is_saved_between_the_look_and_the_write_is_not_overwritten(client, ada, monkeypatch):
    row = made(ada)
    form = page(client, f"/schedules/{row.pk}/edit/")
    version = form.partition('name="version" value="')[2].partition('"')[0]
    look = views.is_stale

    def overtaken(request, *args):
        found = look(request, *args)
        PeriodicTask.objects.filter(pk=row.pk).update(description="theirs")
        return found

    monkeypatch.setattr(views, "is_stale", overtaken)
    answer = client.post(
        f"/schedules/{row.pk}/edit/", {**HOURLY, "text": "mine", "schedule-name": "Greet", "version": version}
    )
    assert answer.status_code == 422
    assert "Others saved the schedule at this moment" in answer.content.decode()
    assert PeriodicTask.objects.get(pk=row.pk).kwargs == row.kwargs


def test_the_api_makes_changes_and_names_fields(client, ada):
    def call(method, address, **data):
        return getattr(client, method)(address, json.dumps(data), content_type="application/json")

    made_one = call("post", "/api/schedules/", task="demo.echo", arguments={"text": "x"}, when="every 15 minutes")
    assert made_one.status_code == 201, made_one.content
    found = made_one.json()
    assert (found["when"], found["owner"], len(found["next_runs"])) == ("every 15 minutes", "ada", 10)
    address = found["url"]
    assert call("patch", address, when="0 6 * * *").json()["when"] == "0 6 * * *"
    assert call("patch", address, arguments={"text": "new"}).json()["kwargs"] == '{"text": "new"}'
    wrong = call("patch", address, when="0 6 *")
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["when"])
    wrong = call("post", "/api/schedules/", task="demo.echo", arguments={"nonsense": 1}, when="every day")
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["nonsense"])
    assert call("post", "/api/schedules/", task="no.such", when="every day").status_code == 403  # as for a hidden one
    assert call("post", f"{address}pause/", reason="rain").json()["pause_reason"] == "rain"
    assert call("post", f"{address}pause/").status_code == 400
    assert call("post", f"{address}resume/").json()["enabled"]
    assert call("post", f"{address}skip/").json()["skipped"]
    assert call("post", f"{address}skip/", undo=True).json()["skipped"] is None
    assert call("post", f"{address}run/").status_code == 201
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


def test_a_moment_is_of_the_zone_that_it_names():
    year = timezone.now().year + 2
    found = notation.read(f"{year}-01-31T09:30+01:00")
    assert found.row.clocked_time == datetime.datetime(year, 1, 31, 8, 30, tzinfo=UTC)
