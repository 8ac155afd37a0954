"""The launch page in a browser without scripts: form, errors, launch, presets, run again."""

from typing import Annotated

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

from image.celery import app
from jobroom.arguments import Argument
from jobroom.arguments.redaction import HIDDEN
from jobroom.jobs import catalogue
from jobroom.jobs.models import Job, Preset, State, TaskRule

pytestmark = pytest.mark.django_db
ECHO = "/tasks/demo.echo/"


@pytest.fixture(autouse=True)
def clean(empty_redis):
    return None


@pytest.fixture
def opened(ada):
    group = Group.objects.create(name="curators")
    ada.groups.add(group)
    rule = TaskRule.objects.create(task="demo.echo")
    rule.launch.add(group)
    return rule


def post(browser, address=ECHO, **data):
    return browser.post(address, {"launch-when": "now", **data})


def test_a_stranger_to_the_task_sees_nothing(as_ada, client):
    assert as_ada.get(ECHO).status_code == 404
    assert as_ada.post(ECHO, {"text": "x"}).status_code == 404
    client.logout()
    assert client.get(ECHO).status_code == 302


def test_an_unknown_task_is_not_found(as_staff):
    assert as_staff.get("/tasks/no.such/").status_code == 404


def test_whom_a_rule_lets_launch(as_ada, opened):
    page = as_ada.get(ECHO)
    assert page.status_code == 200
    assert b'name="text"' in page.content
    answer = post(as_ada, text="hello")
    job = Job.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, job.get_absolute_url())
    assert (job.owner.username, job.kwargs, job.source) == ("ada", {"text": "hello"}, "page")


def test_a_rule_to_see_is_no_rule_to_launch(as_ada, opened):
    opened.see.set(opened.launch.all())
    opened.launch.clear()
    page = as_ada.get(ECHO)
    assert b"not launch it" in page.content
    assert post(as_ada, text="x").status_code == 403
    assert not Job.objects.exists()


def test_errors_stand_at_their_fields_and_nothing_typed_is_lost(as_staff):
    page = post(as_staff, "/tasks/demo.wait/", secs="long", **{"launch-note": "because", "launch-when": "later"})
    assert page.status_code == 422
    text = page.content.decode()
    assert "Give a number, such as 0.5." in text
    assert 'value="long"' in text
    assert 'value="because"' in text
    assert "Give the day and time" in text
    assert '<a href="#id_secs">Secs</a>, <a href="#id_launch-run_after">Time</a>.' in text
    assert not Job.objects.exists()


def test_the_address_fills_the_form(as_staff):
    assert b'value="from &lt;afar&gt;"' in as_staff.get(f"{ECHO}?text=from+%3Cafar%3E").content


def test_an_argument_may_be_called_as_the_address_calls_other_things(as_staff):
    @app.task(name="scratch.named_like_words", shared=False)
    def named_like_words(job: str, preset: str, caching: str):
        return None

    try:
        page = as_staff.get("/tasks/scratch.named_like_words/?job=a-job&preset=a-preset&caching=a-cache")
    finally:
        app.tasks.unregister("scratch.named_like_words")
    for value in ("a-job", "a-preset", "a-cache"):
        assert f'value="{value}"' in page.content.decode()


def test_run_again_starts_with_the_old_arguments(as_staff, staff):
    Job.objects.create(id="old", task="demo.echo", state=State.FAILED, kwargs={"text": "again"}, owner=staff)
    assert b'value="again"' in as_staff.get(f"{ECHO}?from-job=old").content
    assert as_staff.get(f"{ECHO}?from-job=nothing").status_code == 404


def test_someone_elses_job_gives_no_arguments_away(as_ada, opened, staff):
    opened.see.set(opened.launch.all())
    Job.objects.create(id="old", task="demo.echo", kwargs={"text": "confidential"}, owner=staff)
    assert b"confidential" not in as_ada.get(f"{ECHO}?from-job=old").content


def test_a_preset_is_kept_used_replaced_and_dropped(as_staff):
    for text in ("one", "two"):
        answer = as_staff.post(f"{ECHO}presets/", {"text": text, "preset-name": "mine"})
        assert answer.status_code == 303
    preset = Preset.objects.get()
    assert preset.arguments == {"text": "two"}
    assert b'value="two"' in as_staff.get(f"{ECHO}?from-preset={preset.pk}").content
    assert as_staff.get(f"{ECHO}?from-preset=x").status_code == 404
    assert as_staff.post(f"{ECHO}presets/{preset.pk}/drop/").status_code == 303
    assert not Preset.objects.exists()


def test_a_preset_needs_a_name(as_staff):
    page = as_staff.post(f"{ECHO}presets/", {"text": "x"})
    assert page.status_code == 422
    assert b"Give the preset a name" in page.content


def test_presets_are_ones_own(as_staff, ada):
    preset = Preset.objects.create(name="of Ada", task="demo.echo", owner=ada)
    assert b"of Ada" not in as_staff.get(ECHO).content
    assert as_staff.get(f"{ECHO}?from-preset={preset.pk}").status_code == 404
    assert as_staff.post(f"{ECHO}presets/{preset.pk}/drop/").status_code == 404


@pytest.fixture
def rows_task():
    @app.task(name="scratch.users", shared=False)  # else each new app would get it too, once for every test
    def users(who: User, dry_run: bool = False):
        return None

    yield users
    app.tasks.pop("scratch.users")


def test_rows_are_searched(as_staff, ada, rows_task):
    found = as_staff.get("/tasks/scratch.users/options/who/?q=ad").json()["options"]
    assert found == [{"value": str(ada.pk), "label": "ada"}]
    hashed = as_staff.get("/tasks/scratch.users/options/who/", {"q": User.objects.get(pk=ada.pk).password[:12]})
    assert hashed.json()["options"] == [], "a password can be guessed from its hash, letter by letter"
    assert as_staff.get("/tasks/scratch.users/options/nothing/").status_code == 404
    assert as_staff.get("/tasks/scratch.users/options/who/?q=%00%27").status_code == 200


def test_a_dry_run_is_a_button(as_staff, ada, rows_task):
    assert b'name="dry-run"' in as_staff.get("/tasks/scratch.users/").content
    assert as_staff.post(
        "/tasks/scratch.users/", {"launch-when": "now", "who": ada.pk, "dry-run": "1"}
    ).status_code == 303  # fmt: skip
    assert Job.objects.get().kwargs == {"who": ada.pk, "dry_run": True}


def test_fields_are_asked_again_without_being_checked(as_staff):
    page = as_staff.post("/tasks/demo.wait/", {"launch-refresh": "1", "secs": "long"})
    assert page.status_code == 200
    assert b"<html" not in page.content
    assert b'value="long"' in page.content


@pytest.fixture
def suggesting_task():
    @app.task(name="scratch.suggests", shared=False)
    def suggests(
        size: int = 2, copies: Annotated[int, Argument(default=lambda answers: int(answers.get("size") or 0) * 10)] = 1
    ):
        return None

    yield suggests
    app.tasks.pop("scratch.suggests")


@pytest.mark.parametrize(("suggested", "shown"), [({"launch-suggested": "copies"}, b'value="70"'), ({}, b'value="20"')])
def test_a_suggestion_follows_the_answers_until_someone_changes_it(as_staff, suggesting_task, suggested, shown):
    address = "/tasks/scratch.suggests/"
    assert b'data-field="copies" data-suggested' in as_staff.get(address).content
    page = as_staff.post(address, {"launch-refresh": "1", "size": "7", "copies": "20", **suggested})
    assert shown in page.content
    assert (b"data-suggested" in page.content) == bool(suggested)


@pytest.fixture
def job(ada):
    return Job.objects.create(id="j1", task="demo.echo", state=State.QUEUED, owner=ada, kwargs={"text": "x"})


def test_the_owner_cancels_and_reads_what_happens(as_ada, job):
    answer = as_ada.post(reverse("jobroom:jobs:cancel", args=["j1"]), follow=True)
    assert answer.redirect_chain == [("/jobs/j1/", 303)]
    assert b"It will not start any more" in answer.content


@pytest.mark.parametrize("action", ["cancel", "retry", "note"])
def test_actions_are_posts_and_closed_to_others(client, db, job, action):
    address = reverse(f"jobroom:jobs:{action}", args=["j1"])
    client.force_login(User.objects.create_user("bob"))
    assert client.post(address).status_code == 404
    assert client.get(address).status_code == 405


def test_what_cannot_be_done_is_disabled_with_the_reason(as_ada, job):
    Job.objects.update(state=State.SUCCEEDED)
    text = as_ada.get("/jobs/j1/").content.decode()
    assert 'disabled title="It has ended already: succeeded."' in text
    assert 'disabled title="It succeeded. Run it again as a new job instead."' in text


def test_a_refused_action_says_why(as_ada, job):
    Job.objects.update(state=State.FAILED, kwargs={"password": HIDDEN})
    answer = as_ada.post(reverse("jobroom:jobs:retry", args=["j1"]), follow=True)
    assert b"secret and are not kept" in answer.content


def test_a_note_is_kept(as_ada, job):
    as_ada.post(reverse("jobroom:jobs:note", args=["j1"]), {"note": "for the museum", "tags": "a, b"})
    job.refresh_from_db()
    assert (job.note, job.tags) == ("for the museum", ["a", "b"])


def test_the_page_of_every_task_opens(as_staff):
    for entry in catalogue.entries():
        if entry.tracked:
            assert as_staff.get(reverse("jobroom:jobs:launch", args=[entry.name])).status_code == 200, entry.name


@pytest.fixture
def odd():
    """A task whose arguments are called like what a form, or the page, has of its own."""

    @app.task(name="jobroom.jobs.tests.odd", shared=False)
    def odd(groups: str, fields: str, errors: str, refresh: str, non_field_errors: str = "", depends: str = "") -> str:
        """Take anything."""
        return groups

    yield odd
    app.tasks.pop(odd.name)


def test_an_argument_may_be_called_anything(as_staff, odd):
    address = reverse("jobroom:jobs:launch", args=[odd.name])
    page = as_staff.get(address).content.decode()
    names = ("groups", "fields", "errors", "refresh", "non_field_errors", "depends")
    assert all(f'name="{name}"' in page for name in names)
    assert post(as_staff, address, groups="", fields="f").status_code == 422
    answer = post(as_staff, address, groups="g", fields="f", errors="e", refresh="r")
    assert answer.status_code == 303
    assert Job.objects.get().kwargs["refresh"] == "r"
