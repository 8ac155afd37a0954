"""A preset keeps everything or says what not, and to name it launches nothing."""

import re
from html import unescape
from typing import Annotated

import pytest

from jobroom.arguments.redaction import Secret
from jobroom.jobs.models import Job, Preset
from jobroom.testing.tasks import made_task

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]
ADDRESS = "/tasks/scratch.preset/"
ANSWERS = {
    "text": "hello",
    "key": "s3cret",
    "launch-when": "now",
    "launch-queue": "heavy",
    "launch-priority": "9",
    "launch-note": "for Ada",
    "launch-tags": "one, two",
    "preset-dialog": "1",
}


@pytest.fixture(autouse=True)
def task():
    def preset(text: str, key: Annotated[str, Secret] = "") -> None: ...

    with made_task(preset, name="scratch.preset") as made:
        yield made


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"There is no field {name}."
    return unescape(found[1])


def test_the_dialog_says_what_is_kept_and_what_is_not(as_staff):
    page = as_staff.post(f"{ADDRESS}presets/", ANSWERS).content.decode()
    assert "Kept: Text; queue, priority, note, tags." in page
    assert "<strong>Not kept:</strong> Key." in page
    assert "s3cret" not in page
    assert not Preset.objects.exists()
    data = {name: hidden(page, name) for name in ("preset-kept", "preset-version")}
    answer = as_staff.post(f"{ADDRESS}presets/", {**data, "preset-name": "mine"})
    assert answer.status_code == 303
    kept = Preset.objects.get()
    assert kept.arguments == {"text": "hello"}
    assert kept.options == {"queue": "heavy", "priority": 9, "note": "for Ada", "tags": "one, two"}
    assert not Job.objects.exists()
    again = as_staff.get(answer["Location"]).content.decode()
    for value in ("hello", "for Ada", "one, two"):
        assert f'value="{value}"' in again
    assert '<option value="heavy" selected>' in again
    assert '<option value="9" selected>' in again


def test_a_moment_is_not_kept_and_a_repetition_is(as_staff):
    later = {**ANSWERS, "launch-when": "later", "launch-run_after": "2020-01-01T10:00"}
    assert "the time at which it should run" in as_staff.post(f"{ADDRESS}presets/", later).content.decode()
    repeat = {**ANSWERS, "launch-when": "repeat", "launch-cron": "every 15 minutes"}
    page = as_staff.post(f"{ADDRESS}presets/", repeat).content.decode()
    as_staff.post(f"{ADDRESS}presets/", {"preset-kept": hidden(page, "preset-kept"), "preset-name": "often"})
    assert Preset.objects.get().options["cron"] == "every 15 minutes"


def test_the_name_is_needed_and_what_is_wrong_is_named(as_staff):
    page = as_staff.post(f"{ADDRESS}presets/", ANSWERS).content.decode()
    answer = as_staff.post(f"{ADDRESS}presets/", {"preset-kept": hidden(page, "preset-kept"), "preset-name": " "})
    assert answer.status_code == 422
    assert "Give the preset a name." in answer.content.decode()
    wrong = as_staff.post(f"{ADDRESS}presets/", {**ANSWERS, "text": "", "preset-part": "1"})
    assert wrong.status_code == 422
    assert "To change before it can be kept: Text." in unescape(wrong.content.decode())


def test_the_dialog_of_another_task_or_person_is_worth_nothing(as_staff, client, ada):
    page = as_staff.post(f"{ADDRESS}presets/", ANSWERS).content.decode()
    signed = hidden(page, "preset-kept")
    for data in ({"preset-kept": signed + "x"}, {"preset-kept": "zzz"}, {"preset-kept": ""}):
        answer = as_staff.post(f"{ADDRESS}presets/", {**data, "preset-name": "mine"})
        assert answer.status_code == 422
        assert "too old" in answer.content.decode()
    assert as_staff.post("/tasks/demo.echo/presets/", {"preset-kept": signed, "preset-name": "x"}).status_code == 422
    ada.is_staff = True
    ada.save()
    client.force_login(ada)
    assert client.post(f"{ADDRESS}presets/", {"preset-kept": signed, "preset-name": "x"}).status_code == 422
    assert not Preset.objects.exists()


def test_a_script_gets_the_dialog_alone_and_keeps_the_page(as_staff):
    data = {**ANSWERS, "preset-part": "1"}
    part = as_staff.post(f"{ADDRESS}presets/", data).content.decode()
    assert "<html" not in part
    answer = as_staff.post(
        f"{ADDRESS}presets/", {"preset-kept": hidden(part, "preset-kept"), "preset-name": "mine", "preset-part": "1"}
    )
    assert answer.status_code == 200
    assert "data-kept" in answer.content.decode()
    # Another one of the same name is asked about, in the dialog too.
    part = as_staff.post(f"{ADDRESS}presets/", {**data, "text": "other"}).content.decode()
    answer = as_staff.post(
        f"{ADDRESS}presets/",
        {"preset-kept": hidden(part, "preset-kept"), "preset-version": "", "preset-name": "mine", "preset-part": "1"},
    )
    assert answer.status_code == 409
    assert Preset.objects.get().arguments == {"text": "hello"}


OWN = "/presets/"


def kept(owner, name, task="scratch.preset", **arguments):
    return Preset.objects.create(owner=owner, task=task, name=name, arguments=arguments)


def test_the_page_lists_ones_own_presets_of_all_tasks(as_staff, staff, django_user_model):
    first, second = kept(staff, "Sunday", text="x"), kept(staff, "Cows", task="demo.echo", text="y")
    kept(django_user_model.objects.create_user("else"), "of another person")
    page = as_staff.get(OWN).content.decode()
    assert page.index("Cows") < page.index("Sunday")
    assert "of another person" not in page
    for preset in (first, second):
        assert f'href="/tasks/{preset.task}/?from-preset={preset.pk}"' in page
    assert as_staff.get(f"{ADDRESS}?from-preset={first.pk}").status_code == 200
    assert OWN in as_staff.get("/tasks/").content.decode()


def test_a_preset_of_a_task_that_is_not_open_names_no_task(client, django_user_model):
    user = django_user_model.objects.create_user("ada")
    client.force_login(user)
    kept(user, "Sunday", text="x")
    page = client.get(OWN).content.decode()
    assert "Sunday" in page
    assert "not open to you any more" in page
    assert "scratch.preset" not in page


def test_a_preset_is_renamed_and_nothing_typed_is_lost(as_staff, staff):
    preset, _ = kept(staff, "Sunday"), kept(staff, "Monday")
    opened = as_staff.get(OWN).content.decode()
    at = opened.index(f"{OWN}{preset.pk}/rename/")
    data = {"version": hidden(opened[at:], "version")}
    rename = f"{OWN}{preset.pk}/rename/"
    for name, reason in (("  ", "it is empty"), ("Monday", "another preset"), ("x" * 81, "81 characters")):
        answer = as_staff.post(rename, {**data, "name": name})
        page = unescape(answer.content.decode())
        assert answer.status_code == 422
        assert reason in page
        assert f'value="{name.strip()}"' in page
    assert as_staff.post(rename, {**data, "name": " First of  all "}).status_code == 303
    preset.refresh_from_db()
    assert preset.name == "First of all"
    stale = as_staff.post(rename, {**data, "name": "Second"})
    assert stale.status_code == 409
    again = {"name": "Second", "version": hidden(stale.content.decode(), "version")}
    assert as_staff.post(rename, again).status_code == 303
    preset.refresh_from_db()
    assert preset.name == "Second"


def test_a_preset_is_forgotten_by_its_owner_alone(as_staff, staff, django_user_model):
    mine, theirs = kept(staff, "Mine"), kept(django_user_model.objects.create_user("else"), "Theirs")
    assert as_staff.post(f"{OWN}{theirs.pk}/drop/").status_code == 404
    assert as_staff.post(f"{OWN}{theirs.pk}/rename/", {"name": "x"}).status_code == 404
    answer = as_staff.post(f"{OWN}{mine.pk}/drop/", follow=True)
    assert "Mine” is gone" in answer.content.decode()
    assert list(Preset.objects.all()) == [theirs]
