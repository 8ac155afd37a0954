"""The catalogue: searched without scripts too, one's own tasks first, each with its button."""

import re

import pytest
from django.contrib.auth.models import Group

from image.celery import app
from jobroom.jobs import catalogue
from jobroom.jobs.models import Job, Profile, State, TaskRule
from jobroom.testing.tasks import made_task

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]


def headings(page: str) -> list[str]:
    return re.findall(r'<h2 class="catalogue-app"[^>]*>([^<]+)</h2>', page)


def shown(page: str) -> list[str]:
    """Return the names of the tasks in rows and steps that no search hides."""
    rows = re.findall(r'<li data-words="[^"]*"( hidden)?>.*?href="(?:/tasks/|\?task=)([^"/]+)', page, re.DOTALL)
    return [name for hidden, name in rows if not hidden]


def test_search_finds_by_title_name_and_first_line(as_staff):
    page = as_staff.get("/tasks/", {"q": "demo echo"}).content.decode()
    assert shown(page) == ["demo.echo"]
    assert "<span data-found>1 task</span>" in page
    assert re.findall(r'<section class="catalogue-group" data-group>.*?>([^<]+)</h2>', page, re.DOTALL) == ["demo"]
    assert "data-nothing hidden" in page
    none = as_staff.get("/tasks/", {"q": "zzzz"}).content.decode()
    assert shown(none) == []
    assert "data-nothing>No task matches" in none


def test_what_a_search_hides_is_there_for_who_types_on(as_staff):
    found = as_staff.get("/tasks/", {"q": "demo echo"}).content.decode()
    every = as_staff.get("/tasks/").content.decode()
    assert found.count("data-words=") == every.count("data-words=") == len(shown(every))


def test_a_page_with_many_groups_begins_with_links_to_them(as_staff):
    page = as_staff.get("/tasks/").content.decode()
    jumps = page.partition("data-jumps>")[2].partition("</nav>")[0]
    assert len(re.findall(r'href="#group-\d+"', jumps)) == len(headings(page)) >= 4
    assert "data-jumps hidden>" in as_staff.get("/tasks/", {"q": "echo"}).content.decode()


def test_the_script_pins_without_a_page(as_staff):
    for pinned in (True, False):
        answer = as_staff.post("/tasks/demo.echo/pin/", headers={"Accept": "application/json"})
        assert (answer.status_code, answer.json()) == (200, {"pinned": pinned})


def test_a_task_for_a_schedule_is_searched_as_in_the_catalogue(as_staff):
    page = as_staff.get("/schedules/new/").content.decode()
    assert {"demo.echo", "demo.add"} <= set(shown(page))
    found = as_staff.get("/schedules/new/", {"q": "demo echo"}).content.decode()
    assert shown(found) == ["demo.echo"]
    assert found.count("data-words=") == page.count("data-words=")
    as_staff.post("/tasks/demo.echo/pin/")
    assert headings(as_staff.get("/schedules/new/").content.decode())[0] == "Pinned"


def test_pinned_and_recent_tasks_come_first_and_once(as_staff, staff):
    Job.objects.create(pk="a", task="demo.add", owner=staff, state=State.SUCCEEDED)
    assert as_staff.post("/tasks/demo.echo/pin/").status_code == 303
    page = as_staff.get("/tasks/").content.decode()
    assert headings(page)[:2] == ["Pinned", "Lately"]
    launches = re.findall(r'href="/tasks/([^"]+)/" aria-label="Launch', page)
    assert launches[:2] == ["demo.echo", "demo.add"]
    assert len(launches) == len(set(launches))
    as_staff.post("/tasks/demo.echo/pin/")
    assert Profile.objects.get().pinned == []
    assert headings(as_staff.get("/tasks/").content.decode())[0] == "Lately"


def test_what_keeps_jobroom_tidy_comes_after_the_tasks_of_the_project(as_staff):
    """In a project of others its own tasks are what anyone looks for; in the choice for a schedule too."""
    assert headings(as_staff.get("/tasks/").content.decode())[-1] == "Of Jobroom itself"
    names = shown(as_staff.get("/schedules/new/").content.decode())
    ours = [name.startswith("jobroom.") for name in names]
    assert True in ours
    assert ours == sorted(ours), names[-30:]


def test_who_may_only_look_gets_no_button(as_ada, ada):
    group = Group.objects.create(name="viewers")
    ada.groups.add(group)
    TaskRule.objects.create(task="demo.echo").see.add(group)
    page = as_ada.get("/tasks/").content.decode()
    assert "demo.echo" in page
    assert 'aria-label="Launch' not in page
    assert as_ada.post("/tasks/demo.add/pin/").status_code == 404


@pytest.fixture
def mending():
    @app.task(name="scratch.whole", shared=False)
    def whole():
        return None

    @app.task(name="scratch.mend", shared=False, step_of="scratch.whole")
    def mend():
        return None

    yield
    for name in ("scratch.whole", "scratch.mend"):
        app.tasks.pop(name)


def test_a_step_that_a_search_finds_shows_its_bigger_task_unfolded(as_staff, mending):
    page = as_staff.get("/tasks/", {"q": "scratch.mend"}).content.decode()
    assert shown(page) == ["scratch.whole", "scratch.mend"]
    assert "data-steps open>" in page
    assert "<span data-found>1 task</span>" in page
    folded = as_staff.get("/tasks/", {"q": "scratch.whole"}).content.decode()
    assert shown(folded) == ["scratch.whole", "scratch.mend"]
    assert "data-steps open>" not in folded


def test_steps_are_folded_below_their_bigger_task(as_staff, ada, client, staff, mending):
    page = as_staff.get("/tasks/").content.decode()
    assert "1 step that can run alone" in page
    assert 'aria-label="Launch Whole"' in page
    assert 'aria-label="Launch Mend"' not in page
    assert page.count('href="/tasks/scratch.mend/"') == 1
    # Who may not see the bigger task sees the step by itself, and so does who pinned it.
    group = Group.objects.create(name="menders")
    ada.groups.add(group)
    TaskRule.objects.create(task="scratch.mend").launch.add(group)
    client.force_login(ada)
    assert 'aria-label="Launch Mend"' in client.get("/tasks/").content.decode()
    client.force_login(staff)
    client.post("/tasks/scratch.mend/pin/")
    assert 'aria-label="Launch Mend"' in client.get("/tasks/").content.decode()


def test_a_function_that_is_called_like_a_method_of_ours_does_not_get_its_description():
    """Celery's first steps with Django have a `debug_task` without a docstring."""

    def debug_task(self): ...

    with made_task(debug_task, bind=True) as task:
        assert catalogue.entry(task.name).summary == ""
