"""Everything that writes what people read before compares versions, or stands here with the reason why it need not."""

import json
import re
from html import unescape

import pytest
from django.contrib import admin
from django.urls import reverse

from biosample.models import Record, Submission
from image.tests.routes import routes
from jobroom.jobs.models import Job, Preset
from jobroom.web.versions import VersionedAdmin, VersionedInline

pytestmark = pytest.mark.django_db

# Writes over the API that name the version that was read; each has a test of a stale one.
COMPARED = {
    "api/workflows/definitions/": "tests/integration/test_stale_forms.py",
    "api/schedules/<int:schedule_id>/": "jobroom/schedules/tests/test_pages.py",
    "api/schedules/<int:schedule_id>/policy/": "jobroom/schedules/tests/test_policy.py",
    "api/calendars/<int:calendar_id>/": "jobroom/schedules/tests/test_calendar_pages.py",
    "api/text/models/roll-back/": "text/tests/test_stale_promotion.py",
    "api/text/models/<int:version>/promote/": "text/tests/test_stale_promotion.py",
}
# Why the others overwrite nothing that a person wrote.
OTHERS = {
    "makes a new thing": {
        "api/token/", "api/token/refresh/", "api/tokens/", "api/deadlines/", "api/alerts/", "api/alerts/<int:alert_id>/test/", "api/jobs/", "api/files/", "api/workflows/", "api/assets/",
        "api/vocabularies/", "api/workflows/<str:workflow_id>/rerun/", "api/schedules/", "api/calendars/", "api/schedules/<int:schedule_id>/backfills/",
        "api/workflows/<str:workflow_id>/nodes/<str:key>/link/",
    },
    "asks for a change of state, and is refused where the state is another by now": {
        "api/jobs/<str:job_id>/cancel/", "api/jobs/<str:job_id>/retry/", "api/workflows/<str:workflow_id>/cancel/",
        "api/failures/<str:group_id>/act/",
        "api/workflows/<str:workflow_id>/pause/", "api/workflows/<str:workflow_id>/unpause/",
        "api/workflows/<str:workflow_id>/resume/", "api/dead-letters/<int:dead_letter_id>/requeue/",
        "api/workflows/<str:workflow_id>/nodes/<str:key>/decision/", "api/workflows/<str:workflow_id>/nodes/<str:key>/event/", "api/workers/control/", "api/locks/", "api/limits/", "api/limits/next/", "api/pauses/",
        "api/queues/<path:name>/messages/", "api/queues/<path:name>/move/", "api/queues/<path:name>/purge/",
        "api/schedules/<int:schedule_id>/pause/", "api/schedules/<int:schedule_id>/resume/",
        "api/schedules/<int:schedule_id>/backfills/<int:backfill_id>/",
        "api/schedules/<int:schedule_id>/run/", "api/schedules/<int:schedule_id>/skip/", "api/schedules/<int:schedule_id>/settle/",
    },
    "removes a thing, and finds none the second time": {
        "api/tokens/<int:token_id>/", "api/deadlines/<int:expectation_id>/", "api/alerts/<int:alert_id>/", "api/assets/<int:pk>/", "api/vocabularies/<slug:name>/", "api/dead-letters/<int:dead_letter_id>/",
    },
}  # fmt: skip

# Answers that there is no such address.
NOT_THERE = "api/[\\s\\S]*"


def test_every_write_over_the_api_is_listed():
    written = {r.pattern for r in routes() if r.is_api and r.methods & {"POST", "PUT", "PATCH", "DELETE"}} - {NOT_THERE}
    assert written == set(COMPARED) | set().union(*OTHERS.values())


def test_those_that_compare_say_so_in_the_schema(admin_client):
    paths = json.loads(admin_client.get("/api/schema/?format=json").content)["paths"]
    named = {
        path.lstrip("/")
        for path, methods in paths.items()
        for method, said in methods.items()
        if method != "get" and any(p["name"] == "If-Match" for p in said.get("parameters", ()))
    }
    assert named == {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", pattern) for pattern in COMPARED}


def test_every_form_of_the_admin_compares_its_inlines_too(rf, admin_user):
    request = rf.get("/")
    request.user = admin_user
    for model, found in admin.site._registry.items():
        assert isinstance(found, VersionedAdmin), model
        assert not getattr(found, "list_editable", ()), f"the list of {model} would overwrite unseen"
        for inline in found.get_inlines(request, None):
            assert issubclass(inline, VersionedInline), inline


def fields(page):
    """Return what a browser would send back of the form, texts and choices."""
    found = dict(
        re.findall(r'<input (?=[^>]*type="(?:text|hidden|number)")[^>]*?name="([^"]+)"[^>]*?value="([^"]*)"', page)
    )
    for name, options in re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', page, re.S):
        chosen = re.search(r'value="([^"]*)" selected', options)
        found[name] = chosen[1] if chosen else ""
    return {name: unescape(value) for name, value in found.items() if name not in {"action", "csrfmiddlewaretoken"}}


def test_a_row_of_an_inline_is_not_overwritten_unseen(admin_client, admin_user):
    """The record of a submission: two people open it, both change its alias."""
    submission = Submission.objects.create(owner=admin_user, title="Cows")
    Record.objects.create(submission=submission, alias="first", kind="animal", species="Bos taurus")
    address = reverse("admin:biosample_submission_change", args=[submission.pk])
    opened = fields(admin_client.get(address).content.decode())
    [alias] = [name for name, value in opened.items() if value == "first" and name.endswith("-alias")]
    assert opened[alias.replace("-alias", "-version")]
    theirs = admin_client.post(address, {**opened, alias: "theirs"})
    assert theirs.status_code == 302, theirs.context["errors"]
    answer = admin_client.post(address, {**opened, alias: "mine"})
    page = unescape(answer.content.decode())
    assert answer.status_code == 200
    assert "Others saved this after you opened it" in page
    assert "Stored now: theirs" in page
    assert Record.objects.get().alias == "theirs"
    again = fields(answer.content.decode())
    assert again[alias] == "mine"
    assert admin_client.post(address, again).status_code == 302
    assert Record.objects.get().alias == "mine"


def test_a_launch_takes_what_the_page_showed(admin_client, admin_user):
    """A preset that is changed, or dropped, while its launch page is open changes nothing of the launch."""
    preset = Preset.objects.create(owner=admin_user, task="demo.echo", name="A", arguments={"text": "seen"})
    page = admin_client.get(f"/tasks/demo.echo/?from-preset={preset.pk}").content.decode()
    version = re.search('name="preset-version" value="([^"]*)"', page)[1]
    Preset.objects.update(arguments={"text": "changed"})
    data = {"text": "seen", "preset-version": version, "launch-when": "now"}
    assert admin_client.post("/tasks/demo.echo/", data).status_code == 303
    Preset.objects.all().delete()
    assert admin_client.post("/tasks/demo.echo/", data).status_code == 303
    assert [job.kwargs["text"] for job in Job.objects.all()] == ["seen", "seen"]
