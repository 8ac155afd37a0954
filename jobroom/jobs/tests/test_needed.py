"""Needed means needed, and offered means offered: on the page, in the API, and in the command line."""

import pytest
from django.core.management import CommandError, call_command

from jobroom.jobs.models import Job

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]


def by_page(browser, task, arguments):
    answer = browser.post(f"/tasks/{task}/", {"launch-when": "now", **arguments})
    return answer.status_code, answer.content.decode()


def by_api(browser, task, arguments):
    answer = browser.post("/api/jobs/", {"task": task, "arguments": arguments}, content_type="application/json")
    return answer.status_code, answer.content.decode()


def by_command(browser, task, arguments):
    try:
        call_command("launch", task, *[f"--arg={name}={value}" for name, value in arguments.items()])
    except (CommandError, SystemExit) as error:
        return 422, str(error)
    return 201, ""


@pytest.mark.parametrize("way", [by_page, by_api, by_command])
@pytest.mark.parametrize(
    ("task", "arguments", "sentence"),
    [
        ("demo.count_words", {"text": ""}, "This argument is needed."),
        ("demo.every_field", {"vessel": "cone", "scoops": 3}, "not offered now"),
        ("demo.every_field", {"vessel": "bucket"}, "Choose cup or cone."),
        ("demo.every_field", {"groups": "zzz"}, None),
        ("demo.every_field", {"groups": "4711"}, None),
        ("demo.every_field", {"person": "zzz"}, "There is no group"),
    ],
)
def test_what_is_refused_on_one_way_is_refused_on_all(way, task, arguments, sentence, as_staff, capsys):
    status, text = way(as_staff, task, arguments)
    text += "".join(capsys.readouterr())
    assert status >= 400, text[:300]
    assert not Job.objects.exists()
    if sentence:
        assert sentence in text
    assert "Input should" not in text
