"""The wheel in someone's project: the guide “Put it into your project”, followed to the letter.

The project has what most have: Celery as its first steps with Django set it up, tasks of its own that know nothing of us,
a user model of its own, and an app that is called `jobs`, as one of ours is.
"""

import re
import subprocess
import sys
import time
import zipfile
from contextlib import ExitStack
from textwrap import dedent

import httpx
import pytest
from redis import Redis

from jobroom.runner.redis_server import PrivateServer
from jobroom.testing import forked, postgresql, wait_until
from tests.acceptance import wheel_environments as environments
from tests.acceptance import wheel_guides as guides
from tests.acceptance.wheel_project import Shop

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200), pytest.mark.xdist_group("wheel")]

MAIL, PASSWORD = "ada@example.org", "correct horse"


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory):
    """The wheel, built from a copy of what it is built from, and installed; what it needs is in this environment."""
    wheel = environments.build(tmp_path_factory.mktemp("wheels"))
    into = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)
    return into


@pytest.fixture(scope="module", params=[None, *environments.there()], ids=lambda found: found.name if found else "own")
def python(request):
    """The interpreter that the project runs on: this one, and one of each other environment that is on this machine."""
    return str(request.param.python) if request.param else sys.executable


@pytest.fixture(scope="module")
def servers(tmp_path_factory, python):
    """Processes to fork commands from: to import Django, Celery and the like again costs more than most commands."""
    found = forked.ForkServers(tmp_path_factory.mktemp("servers") / "log", elsewhere=True, python=python)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    """The address of a Redis of the project's own."""
    server = PrivateServer(tmp_path_factory.mktemp("redis"), persist=False)
    process = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server.wait(process)
    yield server.url
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def project(tmp_path_factory, site_packages, servers, redis_url):
    """The project with the package in it, before it has a database: what the guide writes is the same for all of them."""
    it = Shop(tmp_path_factory.mktemp("project"), site_packages, servers)
    it.as_it_was()
    it.follow_the_guide(redis_url)
    it.run("manage.py", "makemigrations", "-v", "0", "jobs", "members")
    return it


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def shop(request, tmp_path_factory, project, redis_url):
    """The project on one database, with web server and worker running."""
    with ExitStack() as stack:
        database = stack.enter_context(postgresql.server()) if request.param == "postgresql" else ""
        if database:
            database = _new_database(database)
        with Redis.from_url(redis_url) as client:
            client.flushall()
        it = project.of_another(tmp_path_factory.mktemp("shop"), database)
        it.run("manage.py", "migrate", "-v", "0")
        it.run("manage.py", "shell", "-v", "0", "-c", dedent(f"""
            from django.contrib.auth import get_user_model

            get_user_model().objects.create_superuser({MAIL!r}, {PASSWORD!r})
        """))  # fmt: skip
        stack.callback(it.stop)
        it.start("manage.py", "runserver", "--noreload", str(it.port))
        it.start("-m", "celery", "-A", "shop", "worker", "-c", "1")
        # Tests change files of the project: who has not read them yet would read half of a change.
        try:
            wait_until(lambda: _answers(it.port), 60, "the site is up")
            wait_until(lambda: "[queues]" in it.logs(), 60, "the worker is up")
        except AssertionError as error:
            raise AssertionError(f"{error}; the processes printed:\n{it.logs()}") from error
        yield it


def _new_database(server: str) -> str:
    """Make an empty database on the server; return its address."""
    import psycopg

    name = f"shop_{time.monotonic_ns()}"
    with psycopg.connect(
        server.rpartition("/")[0].replace("postgres://", "postgresql://") + "/postgres", autocommit=True
    ) as session:
        session.execute(f"CREATE DATABASE {name}")
    return f"{server.rpartition('/')[0]}/{name}"


@pytest.fixture(scope="module")
def ada(shop):
    """Someone in a browser, logged in by the project's own page."""
    with httpx.Client(base_url=f"http://127.0.0.1:{shop.port}", follow_redirects=True, timeout=60) as client:
        page = client.get("/room/")
        assert page.url.path == "/admin/login/", "the project's own login is asked"
        _post(client, page, {"username": MAIL, "password": PASSWORD, "next": "/room/"})
        yield client


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/room/healthz", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def _post(client: httpx.Client, page: httpx.Response, data: dict[str, str]) -> httpx.Response:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert found, page.text
    headers = {"Referer": str(page.url)}
    return client.post(str(page.url), data={**data, "csrfmiddlewaretoken": found[1]}, headers=headers)


def test_the_wheel_holds_the_package_alone(site_packages):
    assert sorted(path.name.partition("-")[0] for path in site_packages.iterdir()) == ["django_jobroom", "jobroom"]
    assert list(site_packages.rglob("tests")) == []
    for name in ("base.html", "jobs/job.html", "workflows/workflow.html"):
        assert list(site_packages.glob(f"jobroom/*/templates/jobroom/{name}")), name


@pytest.mark.parametrize("environment", environments.MATRIX, ids=lambda wanted: wanted.name)
def test_every_supported_environment_that_is_here_was_used(environment):
    if environment not in environments.there():
        pytest.skip(environments.MISSING)
    assert environment.versions() == (environment.python_version, environment.django_version)


def test_nothing_is_left_to_say(project):
    said = project.run("manage.py", "check")
    assert re.findall(r"\((\w+\.\w+)\)", said) == ["jobroom_notifications.W001"], "only that ADMINS is empty"
    assert "No changes detected" in project.run("manage.py", "makemigrations", "--check", "--dry-run")


def test_every_page_opens_below_the_prefix(shop, ada):
    for page in (
        "",
        "jobs/",
        "tasks/",
        "workflows/",
        "workflows/definitions/",
        "workers/",
        "dead-letters/",
        "schedules/",
        "queues/",
        "locks/",
        "audit/",
        "failures/",
        "mails/",
        "tasks/jobs.tasks.add/",
    ):
        answer = ada.get(f"/room/{page}")
        assert (answer.status_code, "Jobroom" in answer.text) == (200, True), (page, shop.logs())
        links = re.findall(r'(?:href|action|src)="(/[^"]*)"', answer.text)
        assert [link for link in links if not link.startswith(("/room/", "/static/", "/admin/"))] == []
        assert "-A image" not in answer.text, "remedies are for this project"
        assert 'data-login="/admin/login/"' in answer.text
    for page in ("/admin/jobroom_jobs/job/", "/admin/django_celery_beat/periodictask/", "/room/api/schema/"):
        assert ada.get(page).status_code == 200, (page, shop.logs())


def test_a_task_of_theirs_is_launched_from_its_form(shop, ada):
    form = ada.get("/room/tasks/jobs.tasks.add/")
    assert "Add two numbers." in form.text
    job = _post(ada, form, {"x": "3", "y": "4", "launch-when": "now"})
    assert re.fullmatch(r"/room/jobs/[\w-]+/", job.url.path), job.text
    wait_until(
        lambda: ada.get(f"/room/api{job.url.path.removeprefix('/room')}").json()["state"] == "succeeded", 60, "it ran"
    )
    assert ada.get(job.url.path).status_code == 200


def test_a_task_of_theirs_is_launched_over_the_api(shop, ada):
    headers = {"X-CSRFToken": ada.cookies["csrftoken"]}
    answer = ada.post(
        "/room/api/jobs/?wait=30", json={"task": "jobs.tasks.add", "arguments": {"x": 5}}, headers=headers
    )
    assert answer.status_code in {200, 202}, shop.logs()  # 202 where a busy machine took longer

    def ended():
        found = ada.get(f"/room/api/jobs/{answer.json()['id']}/").json()
        return found["state"] == "succeeded" and found

    found = wait_until(ended, 60, "it ran")
    assert (found["content"]["result"], found["owner"]) == (7, MAIL)
    wrong = ada.post("/room/api/jobs/", json={"task": "jobs.tasks.add", "arguments": {}}, headers=headers)
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["x"])


def test_a_workflow_of_their_tasks_is_launched_from_its_page(shop, ada):
    """Their settings say nothing of results: neither where they are kept nor for how long."""
    page = _post(ada, ada.get("/room/workflows/definitions/sums/"), {})
    assert re.fullmatch(r"/room/workflows/[\w-]+/", page.url.path), page.text

    def state():
        return ada.get(f"/room/api{page.url.path.removeprefix('/room')}").json()["state"]

    wait_until(lambda: state() == "SUCCESS", 60, lambda: f"{state()}\n{shop.logs()}")


def test_what_their_code_starts_is_recorded(shop, ada):
    shop.run("manage.py", "shell", "-v", "0", "-c", dedent("""
        from jobs.tasks import add, explode
        from shop.celery import debug_task

        add.delay(1, 1), explode.delay(), debug_task.delay()
    """))  # fmt: skip

    def states():
        rows = ada.get("/room/api/jobs/?limit=50").json()
        return {row["task"]: row["state"] for row in rows.get("results", rows)}

    wanted = {"jobs.tasks.explode": "failed", "shop.celery.debug_task": "succeeded"}
    wait_until(lambda: wanted.items() <= states().items(), 60, lambda: f"{states()}\n{shop.logs()}")
    assert "jobs.tasks.explode" in shop.run("manage.py", "jobroom", "jobs", "--state", "failed")


def test_their_own_test_command_is_theirs(project):
    assert "Ran 0 tests" in project.run("manage.py", "test", "--help") + project.run("manage.py", "test", "members")


@pytest.fixture(scope="module")
def past(shop):
    """What django-celery-beat and django-celery-results kept before Jobroom came, made by themselves."""
    (take_out,) = guides.blocks(guides.BEAT, "python")
    shop.write("shop/settings_before.py", f"from shop.settings import *\n{take_out}{guides.EXTENDED}")
    (shop.folder / "past.py").write_text(guides.PAST)
    before = {"DJANGO_SETTINGS_MODULE": "shop.settings_before"}
    code = "import django; django.setup(); exec(open('past.py').read())"
    assert "3 results" in shop.run("-c", code, env=before)


def test_schedules_of_before_are_there_at_once_and_run(shop, ada, past):
    assert "Sums" in ada.get("/room/schedules/").text

    def sums():
        rows = ada.get("/room/api/schedules/").json()["results"]
        return next(row for row in rows if row["name"] == "Sums")

    details = ada.get(sums()["url"]).json()
    assert (details["task"], details["args"], details["enabled"]) == ("jobs.tasks.add", "[20, 3]", True)
    for address in guides.addresses(guides.BEAT):
        answer = ada.get(f"/room{address}")
        assert answer.status_code == 200 or "control" in address, (address, shop.logs())
    (beat,) = [code for code in guides.blocks(guides.BEAT, "sh") if code.startswith("celery")]
    shop.start("-m", *beat.split())

    def job():
        (rows,) = [ada.get("/room/api/jobs/?schedule=Sums&state=succeeded").json()["results"]]
        return rows and rows[0]

    job = wait_until(job, 60, shop.logs)
    assert ada.get(f"/room/api/jobs/{job['id']}/").json()["content"]["result"] == 23


def test_results_of_before_are_imported_as_the_guide_says(shop, ada, past):
    (kept,) = guides.blocks(guides.RESULTS, "python")
    path = shop.folder / "shop/settings.py"
    path.write_text(f"{path.read_text()}\n{kept}")
    looked, imported = (shop.run(*words) for words in guides.commands(guides.RESULTS))
    assert "To import: 2 of " in looked
    assert "Imported: 2 of " in imported
    assert "no end yet: 1 (1 STARTED)" in imported
    assert "Imported: 0 of " in shop.run(*guides.commands(guides.RESULTS)[-1]), "a second run adds nothing"
    listed = set(re.findall(r'/room/jobs/([\w-]+)/"', ada.get("/room/jobs/?tag=imported").text)) - {"bulk", "views"}
    assert listed == {"past-good", "past-bad"}
    assert ada.get("/room/api/jobs/past-good/").json()["state"] == "succeeded"
    bad = ada.get("/room/api/jobs/past-bad/").json()
    assert (bad["state"], bad["content"]["traceback"], bad["content"]["error"]) == (
        "failed", "Traceback: bad sum", "bad sum",
    )  # fmt: skip
    for pk in listed:
        assert ada.get(f"/room/jobs/{pk}/").status_code == 200, shop.logs()


def test_functions_of_djangos_own_tasks_run_as_the_guide_says(shop):
    setting, function, enqueue = guides.blocks(guides.DJANGO_TASKS, "python")
    if shop.run("-c", "import django; print(django.VERSION < (6,))").strip() == "True":
        function = function.replace("django.tasks", "django_tasks")  # as the guide says of Django 5.2
    for name, code in {"shop/settings.py": setting, "jobs/tasks.py": function}.items():
        path = shop.folder / name
        path.write_text(f"{path.read_text()}\n{code}")
    shop.start("-m", "celery", "-A", "shop", "worker", "-c", "1", "-Q", "heavy", "-n", "heavy@%h")
    sent = shop.run("manage.py", "shell", "-v", "0", "-c", f"from jobs.tasks import resize\n{enqueue}print(result.id)")
    # One shell waits: each one that only looks costs more than the job.
    said = shop.run("manage.py", "shell", "-v", "0", "-c", dedent(f"""
        import time
        from jobs.tasks import resize

        end = time.monotonic() + 100
        while not (it := resize.get_result({sent.strip()!r})).is_finished and time.monotonic() < end:
            time.sleep(0.1)
        print(it.status, it.is_finished and it.return_value)
    """))  # fmt: skip
    assert "SUCCESSFUL {'attempt': 1}" in said, said + shop.logs()
