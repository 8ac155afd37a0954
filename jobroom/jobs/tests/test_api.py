"""The REST API: rights, wrong input, and what each address answers."""

import json
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from image.celery import app
from jobroom import events, redis
from jobroom.arguments import File
from jobroom.jobs import filters
from jobroom.jobs.files import store
from jobroom.jobs.models import ApiToken, Job, LogLine, State, StoredFile, TaskRule
from jobroom.jobs.request_serializers import ListQuery
from jobroom.jobs.tokens import new_token

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clean(empty_redis, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


def post(client, address, data=None, **headers):
    return client.post(address, json.dumps(data or {}), content_type="application/json", headers=headers)


def problem(response, status):
    """Return the problem that the answer is."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    found = json.loads(response.content)
    assert (found["status"], found["type"]) == (status, "about:blank")
    return found


def made(owner=None, **fields):
    return Job.objects.create(
        **{"id": "j1", "task": "demo.echo", "kwargs": {"text": "hush"}, "label": "text=hush"} | fields, owner=owner
    )


def group_of(user, **rights):
    """Give the user a group with rights on demo.echo."""
    group = Group.objects.create(name="curators")
    user.groups.add(group)
    rule = TaskRule.objects.create(task="demo.echo")
    for right in rights:
        getattr(rule, right).add(group)
    return rule


# Who asks


@pytest.mark.parametrize("address", ["jobs/", "tasks/", "jobs/x/", "files/00000000-0000-0000-0000-000000000000/"])
def test_strangers_learn_nothing(client, address):
    found = problem(client.get(f"/api/{address}"), 401)
    assert "credentials" in found["detail"]


def test_a_session_needs_the_csrf_token(staff):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(staff)
    assert "CSRF" in problem(post(browser, "/api/jobs/", {"task": "demo.echo"}), 403)["detail"]
    browser.get("/admin/")
    browser.get("/admin/password_change/")
    token = browser.cookies["csrftoken"].value
    assert post(browser, "/api/jobs/", {"task": "demo.echo"}, **{"X-CSRFToken": token}).status_code == 201


def test_a_password_is_exchanged_for_tokens_that_are_renewed(client, ada):
    pair = post(client, "/api/token/", {"username": "ada", "password": "lovelace"}).json()
    assert client.get("/api/tasks/", headers={"Authorization": f"Bearer {pair['access']}"}).status_code == 200
    fresh = post(client, "/api/token/refresh/", {"refresh": pair["refresh"]}).json()["access"]
    assert client.get("/api/tasks/", headers={"Authorization": f"Bearer {fresh}"}).status_code == 200
    problem(client.get("/api/tasks/", headers={"Authorization": "Bearer nonsense"}), 401)
    problem(post(client, "/api/token/", {"username": "ada", "password": "wrong"}), 401)
    assert set(problem(post(client, "/api/token/", {}), 400)["errors"]) == {"username", "password"}


def test_an_api_token_works_until_it_is_revoked(client, as_ada, ada):
    made = post(as_ada, "/api/tokens/", {"name": "import"}).json()
    other = Client()
    headers = {"Authorization": f"Token {made['token']}"}
    assert other.get("/api/tasks/", headers=headers).status_code == 200
    row = ApiToken.objects.get()
    assert row.last_used_at is not None
    assert made["token"] not in row.digest
    (listed,) = as_ada.get("/api/tokens/").json()
    assert "token" not in listed
    assert as_ada.delete(f"/api/tokens/{row.pk}/").status_code == 204
    problem(other.get("/api/tasks/", headers=headers), 401)
    problem(as_ada.delete("/api/tokens/99/"), 404)


def test_no_one_revokes_someone_elses_token(as_ada, staff):
    token, _ = new_token(staff, "mine")
    problem(as_ada.delete(f"/api/tokens/{token.pk}/"), 404)


def test_a_token_of_someone_who_left_opens_nothing(client, ada):
    _, text = new_token(ada, "import")
    User.objects.update(is_active=False)
    problem(client.get("/api/tasks/", headers={"Authorization": f"Token {text}"}), 401)


def test_the_admin_shows_a_new_token_once_and_revokes_it(as_staff, staff):
    answer = as_staff.post("/admin/jobroom_jobs/apitoken/add/", {"user": staff.pk, "name": "x"}, follow=True)
    text = next(word for word in answer.content.decode().split() if word.startswith("image_")).partition("<")[0]
    assert Client().get("/api/tasks/", headers={"Authorization": f"Token {text}"}).status_code == 200
    assert text not in as_staff.get("/admin/jobroom_jobs/apitoken/").content.decode()
    chosen = {"action": "revoke", "_selected_action": [ApiToken.objects.get().pk]}
    as_staff.post("/admin/jobroom_jobs/apitoken/", chosen)
    problem(Client().get("/api/tasks/", headers={"Authorization": f"Token {text}"}), 401)


# Tasks


def test_tasks_are_described_with_the_schema_of_their_arguments(as_staff):
    names = {task["name"]: task for task in as_staff.get("/api/tasks/").json()}
    assert names["demo.echo"]["may_launch"]
    task = as_staff.get(names["demo.echo"]["url"]).json()
    assert task["arguments"]["properties"]["text"]["default"] == "Hello"
    assert task["queues"] == ["default", "ml", "email", "heavy"]
    spaced = as_staff.get(f"/api/tasks/{quote('Fetch USI status')}/").json()
    assert spaced["name"] == "Fetch USI status"
    assert "Did you mean demo.echo" in problem(as_staff.get("/api/tasks/demo.ecko/"), 404)["detail"]


def test_a_task_says_that_one_may_not_launch_it(as_ada, ada):
    assert as_ada.get("/api/tasks/").json() == []
    problem(as_ada.get("/api/tasks/demo.echo/"), 404)
    group = Group.objects.create(name="watchers")
    ada.groups.add(group)
    TaskRule.objects.create(task="demo.echo").see.add(group)
    assert [task["name"] for task in as_ada.get("/api/tasks/").json()] == ["demo.echo"]
    assert as_ada.get("/api/tasks/demo.echo/").json()["may_launch"] is False


# Launching


def test_a_launch_answers_with_the_job(as_staff, staff):
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    asked = {
        "task": "demo.echo", "arguments": {"text": "hi"}, "queue": "heavy", "run_after": later, "priority": 3,
        "note": "why", "tags": ["a"],
    }  # fmt: skip
    answer = post(as_staff, "/api/jobs/", asked)
    assert answer.status_code == 201
    found = answer.json()
    job = Job.objects.get()
    assert found == {"id": job.pk, "state": "scheduled", "url": f"/api/jobs/{job.pk}/"}
    assert answer["Location"] == found["url"]
    assert (job.source, job.owner, job.queue, job.priority, job.note) == ("api", staff, "heavy", 3, "why")


@pytest.mark.parametrize(
    ("asked", "field", "text"),
    [
        ({}, "task", "required"),
        ({"task": "demo.ecko"}, "task", "Did you mean demo.echo"),
        ({"task": "demo.echo", "arguments": {"txet": "x"}}, "txet", "Did you mean text"),
        ({"task": "demo.wait", "arguments": {"secs": "soon"}}, "secs", "number"),
        ({"task": "demo.wait", "arguments": {"secs": "inf"}}, "secs", "finite"),
        ({"task": "demo.echo", "arguments": []}, "arguments", "dictionary"),
        ({"task": "demo.echo", "queue": "nowhere"}, "queue", "Allowed"),
        ({"task": "demo.echo", "priority": 10}, "priority", "9"),
        ({"task": "demo.echo", "run_after": "soon"}, "run_after", "format"),
        ({"task": "demo.echo", "tags": ["x" * 99]}, "tags", "50"),
    ],
)
def test_every_wrong_field_is_named(as_staff, asked, field, text):
    found = problem(post(as_staff, "/api/jobs/", asked), 400)
    assert text in " ".join(found["errors"][field])
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "body", ["", "{", "[]", '"x"', '{"task": "\\u0000"}', '{"task": "\\ud800"}', '{"task": 1e999}', "[" * 100_000]
)
def test_nonsense_is_answered_as_such(as_staff, body):
    problem(as_staff.post("/api/jobs/", body, content_type="application/json"), 400)


def test_a_body_has_a_bound(as_staff, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    found = problem(post(as_staff, "/api/jobs/", {"task": "demo.echo", "arguments": {"text": "x" * 2000}}), 413)
    assert "/api/files/" in found["detail"]


def test_other_kinds_of_bodies_and_methods_are_refused(as_staff):
    problem(as_staff.post("/api/jobs/", {"task": "demo.echo"}), 415)
    problem(as_staff.delete("/api/jobs/"), 405)
    problem(as_staff.get("/api/nowhere/"), 404)


def test_who_may_not_launch_is_refused(as_ada, ada):
    assert "Ask an administrator" in problem(post(as_ada, "/api/jobs/", {"task": "demo.echo"}), 403)["detail"]
    group_of(ada, launch=True)
    assert post(as_ada, "/api/jobs/", {"task": "demo.echo"}).status_code == 201


@pytest.mark.parametrize("wait", ["x", "-1", "61", "nan", "inf"])
def test_a_senseless_wait_launches_nothing(as_staff, wait):
    assert "wait" in problem(post(as_staff, f"/api/jobs/?wait={wait}", {"task": "demo.echo"}), 400)["errors"]
    assert not Job.objects.exists()


# Jobs


def test_a_job_shows_its_inside_to_those_who_may_read_it(as_ada, ada, staff):
    made(staff, state=State.FAILED, error="secret reason", result={"a": 1})
    problem(as_ada.get("/api/jobs/j1/"), 404)
    rule = group_of(ada, see=True)
    shown = as_ada.get("/api/jobs/j1/").json()
    assert (shown["label"], shown["content"], shown["state"], shown["owner"]) == (None, None, "failed", "grace")
    assert "hush" not in json.dumps(shown)
    assert "secret reason" not in json.dumps(shown)
    rule.arguments.set(rule.see.all())
    shown = as_ada.get("/api/jobs/j1/").json()
    assert shown["content"]["arguments"] == {"text": "hush"}
    assert shown["content"]["error"] == "secret reason"


def test_words_inside_a_job_are_not_found_by_those_who_may_not_read_it(as_ada, ada, staff):
    made(staff)
    group_of(ada, see=True)
    assert [job["id"] for job in as_ada.get("/api/jobs/").json()["results"]] == ["j1"]
    assert as_ada.get("/api/jobs/?q=hush").json()["results"] == []
    Job.objects.update(owner=ada)
    assert len(as_ada.get("/api/jobs/?q=hush").json()["results"]) == 1


def test_jobs_are_listed_a_page_at_a_time(as_staff, staff, ada, monkeypatch):
    monkeypatch.setattr(filters, "PAGE", 2)
    at = timezone.now()
    for n in range(5):
        made(staff if n < 4 else ada, id=f"j{n}", created_at=at - timedelta(seconds=n // 2))
    address, seen = "/api/jobs/?owner=grace&task=demo.echo&state=queued", []
    while address:
        page = as_staff.get(address).json()
        seen += [job["id"] for job in page["results"]]
        address = page["next"]
    assert seen == ["j1", "j0", "j3", "j2"]
    assert set(problem(as_staff.get("/api/jobs/?state=odd&before=x"), 400)["errors"]) == {"state", "before"}


def test_a_job_is_known_before_the_database_knows_it(as_staff):
    events.emit("queued", "bare", task="demo.echo", args=[], kwargs={"text": "x"}, queue="default", source="code")
    assert as_staff.get("/api/jobs/bare/").json()["state"] == "queued"
    started = {"task": "demo.echo", "execution": "e1", "worker": "w", "instance": "i", "pid": 1, "queue": "default"}
    events.emit("started", "bare", **started)
    events.emit("progress", "bare", execution="e1", fraction=0.5, current=1, total=2, message="half", stage="")
    shown = as_staff.get("/api/jobs/bare/").json()
    assert (shown["state"], shown["progress"]["fraction"], shown["attempts"]) == ("running", 0.5, 1)
    events.emit("finished", "bare", execution="e1", state="succeeded", runtime=0.1, result='"x"')
    shown = as_staff.get("/api/jobs/bare/").json()
    assert (shown["state"], shown["content"]["result"]) == ("succeeded", "x")
    assert not Job.objects.exists()
    problem(as_staff.get("/api/jobs/other/"), 404)


def test_events_are_listed_after_a_number(as_ada, ada, staff):
    job = made(staff)
    LogLine.objects.create(id=5, job=job, at=timezone.now(), level="info", message="from the database")
    events.emit("progress", "j1", execution="e", fraction=0.5, current=1, total=2, message="m", stage="")
    events.emit("log", "j1", execution="e", level="info", message="fresh", obj=None)
    group_of(ada, see=True)
    assert [event["type"] for event in as_ada.get("/api/jobs/j1/events/").json()["events"]] == ["progress"]
    Job.objects.update(owner=ada)
    page = as_ada.get("/api/jobs/j1/events/").json()
    assert [event.get("message") for event in page["events"]] == ["from the database", "m", "fresh"]
    assert as_ada.get(f"/api/jobs/j1/events/?after={page['last']}").json()["events"] == []
    assert "after" in problem(as_ada.get("/api/jobs/j1/events/?after=x"), 400)["errors"]


def test_cancel_and_retry_say_what_happens(as_staff, staff):
    made(staff)
    answer = post(as_staff, "/api/jobs/j1/cancel/").json()
    assert answer["state"] == "cancelled"
    assert "will not start" in answer["detail"]
    assert "ended already" in problem(post(as_staff, "/api/jobs/j1/cancel/"), 409)["detail"]
    Job.objects.update(state=State.CANCELLED)
    assert post(as_staff, "/api/jobs/j1/retry/").json()["detail"].startswith("Sent again")
    Job.objects.update(state=State.SUCCEEDED)
    redis.client().flushdb()
    assert "Run it again" in problem(post(as_staff, "/api/jobs/j1/retry/"), 409)["detail"]


def test_who_sees_a_job_may_not_cancel_it_for_that(as_ada, ada, staff):
    made(staff)
    problem(post(as_ada, "/api/jobs/j1/cancel/"), 404)
    group_of(ada, see=True)
    problem(post(as_ada, "/api/jobs/j1/cancel/"), 403)
    problem(post(as_ada, "/api/jobs/j1/retry/"), 403)


# Files


def test_a_file_comes_back_as_a_download_and_belongs_to_who_sent_it(as_ada, client, staff):
    upload = SimpleUploadedFile("../<b>x.html", b"<script>alert(1)</script>", content_type="text/html")
    found = as_ada.post("/api/files/", {"file": upload}).json()
    assert (found["name"], found["size"]) == ("<b>x.html", 25)
    answer = as_ada.get(found["url"])
    assert b"".join(answer.streaming_content) == b"<script>alert(1)</script>"
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    other = Client()
    other.force_login(User.objects.create_user("eve"))
    problem(other.get(found["url"]), 404)
    assert other.get(f"/files/{found['id']}/").status_code == 404
    assert b"".join(as_ada.get(f"/files/{found['id']}/").streaming_content)


def test_an_upload_has_a_bound_and_leaves_nothing_behind(as_ada, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_MAX_UPLOAD": 10}
    assert (
        "JOBS_MAX_UPLOAD"
        in problem(as_ada.post("/api/files/", {"file": SimpleUploadedFile("x", b"x" * 11)}), 413)["detail"]
    )
    assert [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()] == []
    assert "file" in problem(as_ada.post("/api/files/", {}), 400)["errors"]


@pytest.fixture
def reader_task():
    @app.task(name="scratch.read", shared=False)
    def read(content: File) -> str:
        return content.path.read_text()

    yield "scratch.read"
    app.tasks.pop("scratch.read")


def test_no_one_launches_with_someone_elses_file(as_ada, ada, staff, reader_task):
    group = Group.objects.create(name="readers")
    ada.groups.add(group)
    TaskRule.objects.create(task=reader_task).launch.add(group)
    theirs = str(store(SimpleUploadedFile("x", b"x"), staff).pk)
    unknown = "00000000-0000-0000-0000-000000000000"
    texts = {}
    for file_id in (theirs, unknown):
        asked = {"task": reader_task, "arguments": {"content": file_id}}
        texts[file_id] = problem(post(as_ada, "/api/jobs/", asked), 400)["errors"]["content"]
    assert texts[theirs] == [texts[unknown][0].replace(unknown, theirs)]
    StoredFile.objects.update(owner=ada)
    asked = {"task": reader_task, "arguments": {"content": theirs}}
    assert post(as_ada, "/api/jobs/", asked).status_code == 201


def test_redis_away_is_said(as_staff, staff, monkeypatch):
    def away(*args, **kwargs):
        raise redis.Error("away")

    made(staff)
    monkeypatch.setattr("jobroom.events.cancellation.request_all", away)
    assert "Redis" in problem(post(as_staff, "/api/jobs/j1/cancel/"), 503)["detail"]


def test_an_address_with_a_line_break_is_a_problem_like_any_other(client, db):
    answer = client.get("/api/tasks/%0Aab/")
    assert answer.status_code in {401, 403, 404}
    assert answer["Content-Type"] == "application/problem+json"


def test_a_database_that_refuses_is_a_problem_too(as_staff, monkeypatch):
    def refuse(**_):
        raise OperationalError("database is locked")

    monkeypatch.setattr("jobroom.jobs.api.jobs.launch", refuse)
    answer = problem(post(as_staff, "/api/jobs/", {"task": "demo.echo"}), 503)
    assert "database is busy" in answer["detail"]


def test_the_list_takes_what_the_page_takes(as_staff, staff):
    assert {*filters.JobFilter.names, "before"} == set(ListQuery().fields)
    made(staff, id="tagged", tags=["mine"]), made(staff, id="other")
    assert [row["id"] for row in as_staff.get("/api/jobs/?tag=mine").json()["results"]] == ["tagged"]
