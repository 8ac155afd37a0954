"""Pages call a task by its title, with the dotted name beside it; both find its jobs."""

from types import SimpleNamespace

import pytest
from django.utils import timezone

from jobroom.jobs import task_titles
from jobroom.jobs.filters import JobFilter
from jobroom.jobs.models import Job, State
from jobroom.jobs.queue_position import InFront

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]

NAME = '<code class="task-name">demo.wait</code>'


@pytest.fixture
def waited(staff):
    """Return a job of a task whose title is not its name, and make others that do not match."""
    now = timezone.now()
    ended = {"state": State.SUCCEEDED, "queued_at": now, "started_at": now, "finished_at": now}
    Job.objects.create(pk="other", task="demo.echo", label="text=Hello", **ended)
    Job.objects.create(pk="gone", task="shop.tasks.no_more", **ended)
    return Job.objects.create(pk="it", task="demo.wait", label="secs=1", owner=staff, **ended)


@pytest.mark.parametrize(
    ("name", "own", "title"),
    [
        ("shop.tasks.send_invoice", None, "Send invoice"),
        ("shop.tasks.send_invoice", "Bill a customer", "Bill a customer"),
        ("Fetch USI status", None, "Fetch USI status"),
        ("ping", None, "Ping"),
        ("shop.tasks.", None, "shop.tasks."),
        ("v1.2 import", None, "v1.2 import"),
    ],
)
def test_a_task_has_a_title_in_words(name, own, title):
    assert task_titles.title_of(SimpleNamespace(name=name, title=own)) == title


def test_a_task_that_this_process_does_not_know_keeps_its_name():
    assert task_titles.title("shop.tasks.no_more") == "shop.tasks.no_more"
    assert task_titles.title("") == ""


@pytest.mark.parametrize("path", ["/", "/jobs/"])
def test_a_row_says_the_title_and_small_the_name(as_staff, waited, path):
    page = as_staff.get(path).content.decode()
    assert '<a class="job-link" href="/jobs/it/" title="demo.wait">Wait</a>' in page
    assert NAME in page
    assert ">shop.tasks.no_more</a>" in page
    assert '<code class="task-name">shop.tasks.no_more</code>' not in page


def test_the_page_of_a_job_is_called_by_the_title_everywhere(as_staff, waited):
    page = as_staff.get("/jobs/it/").content.decode()
    assert "<title>✔ Wait succeeded" in page
    assert '<a href="/jobs/?task=demo.wait">Wait</a></p>' in page
    heading = page[page.index("<h1>") : page.index("</h1>")]
    assert heading.startswith("<h1>Wait ")
    assert NAME in heading
    assert str(waited) == "Wait secs=1"


@pytest.mark.parametrize(
    "query", [{"task": "demo.wait"}, {"task": "Wait"}, {"q": "demo.wait"}, {"q": "Wait secs"}, {"q": "WAIT"}]
)
def test_title_and_name_both_find_the_jobs(staff, waited, query):
    assert [job.pk for job in JobFilter(query, staff).rows] == ["it"]


def test_a_name_that_differs_from_a_title_by_its_case_is_a_name(staff, waited):
    Job.objects.create(pk="older", task="wait", state=State.QUEUED)
    assert [job.pk for job in JobFilter({"task": "wait"}, staff).rows] == ["older"]


def test_the_choice_of_a_task_says_both(as_staff, waited):
    page = as_staff.get("/jobs/?task=Wait").content.decode()
    assert '<option value="demo.wait" selected>Wait (demo.wait)</option>' in page


def test_the_title_of_a_task_that_one_may_not_know_of_is_no_task(ada, waited):
    found = JobFilter({"task": "Wait"}, ada)
    assert found.task == "Wait"
    assert "demo.wait" not in dict(found.task_choices())


def test_the_words_about_who_is_in_front_say_the_title():
    assert InFront("0123456789", "demo.wait", None).words == "Wait (01234567)"
