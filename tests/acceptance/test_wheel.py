"""The wheel in someone's project: the guide “Put it into your project”, followed to the letter.

The project has what most have: Celery as its first steps with Django set it up, tasks of its own that know nothing of us,
a user model of its own, and an app that is called `jobs`, as one of ours is.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent
from types import MappingProxyType

import httpx
import pytest
from django.conf import settings

from jobroom.runner.redis_server import PrivateServer, free_port
from jobroom.testing import postgresql, wait_until
from tests.acceptance import wheel_guides as guides

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600), pytest.mark.xdist_group("wheel")]

ROOT = Path(settings.BASE_DIR)
GUIDE = ROOT / "docs/how-to/put-it-into-your-project.md"
BLOCK = re.compile(r"^( *)```python\n\1# (shop/\w+\.py), ([\w ]+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
MAIL, PASSWORD = "ada@example.org", "correct horse"

# https://docs.celeryq.dev/en/stable/django/first-steps-with-django.html
CELERY = """
import os

from celery import Celery

# Set the default Django settings module for the 'celery' program.
os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')

app = Celery('shop')
{guide}
# Using a string here means the worker doesn't have to serialize
# the configuration object to child processes.
# - namespace='CELERY' means all celery-related configuration keys
#   should have a `CELERY_` prefix.
app.config_from_object('django.conf:settings', namespace='CELERY')

# Load task modules from all registered Django apps.
app.autodiscover_tasks()


@app.task(bind=True, ignore_result=True)
def debug_task(self):
    print(f'Request: {{self.request!r}}')
"""
PACKAGE = """
# This will make sure the app is always imported when
# Django starts so that shared_task will use this app.
from .celery import app as celery_app

__all__ = ('celery_app',)
"""
TASKS = """
from celery import shared_task


@shared_task
def add(x: int, y: int = 2) -> int:
    '''Add two numbers.'''
    return x + y


@shared_task(bind=True, max_retries=1)
def explode(self):
    raise ValueError("boom")
"""


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory):
    """The wheel, built from a copy of what it is built from, and installed; what it needs is in this environment."""
    source, wheels = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "jobroom", source / "jobroom", ignore=shutil.ignore_patterns("__pycache__"))
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(wheels)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True, timeout=120)
    (wheel,) = wheels.glob("*.whl")
    into = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)
    return into


class Shop:
    """Someone's project, and who works on it."""

    def __init__(self, folder: Path, site_packages: Path, redis_url: str, database: str) -> None:
        self.folder = folder
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        self.env = {**kept, "PATH": path, "PYTHONPATH": str(site_packages), "PYTHONUNBUFFERED": "1"}
        self.port = free_port()
        self.redis_url, self.database = redis_url, database
        self.started: list[subprocess.Popen[bytes]] = []

    def write(self, name: str, text: str) -> None:
        """Save a file."""
        (self.folder / name).write_text(text if name.startswith("shop/settings") else dedent(text).lstrip())

    def run(self, *argv: str, env: Mapping[str, str] = MappingProxyType({})) -> str:
        """Type a command; return what it printed, or fail."""
        done = subprocess.run(
            [sys.executable, *argv],
            cwd=self.folder,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, *argv: str) -> None:
        """Type a command that stays."""
        with (self.folder / f"{argv[-1]}.log").open("wb") as log:
            self.started.append(
                subprocess.Popen(
                    [sys.executable, *argv], cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, start_new_session=True,
                )
            )  # fmt: skip

    def stop(self) -> None:
        """Stop what was started."""
        for process in self.started:
            process.terminate()
        for process in self.started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def logs(self) -> str:
        """Return what the processes printed."""
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in self.folder.glob("*.log"))

    def as_it_was(self) -> None:
        """Make the project as it is before the guide."""
        self.run("-m", "django", "startproject", "shop", ".")
        for app in ("jobs", "members"):
            self.run("manage.py", "startapp", app)
        self.write("shop/__init__.py", PACKAGE)
        self.write("jobs/tasks.py", TASKS)
        self.write("jobs/models.py", guides.OFFERS)
        self.write("members/models.py", guides.MEMBERS)
        text = (self.folder / "shop/settings.py").read_text()
        text += "\nINSTALLED_APPS += ['jobs', 'members']\nAUTH_USER_MODEL = 'members.Member'\n"
        if self.database:
            text += f"\nimport environ\n\nDATABASES = {{'default': environ.Env.db_url_config({self.database!r})}}\n"
        self.write("shop/settings.py", text)

    def follow_the_guide(self) -> None:
        """Do what it says; the address of Redis is the one of this test."""
        blocks = {name: dedent(code) for _, name, _, code in BLOCK.findall(GUIDE.read_text())}
        assert set(blocks) == {"shop/settings.py", "shop/celery.py", "shop/urls.py", "shop/asgi.py"}
        assert blocks["shop/settings.py"].count("redis://127.0.0.1:6379/0") == 1
        blocks["shop/settings.py"] = blocks["shop/settings.py"].replace("redis://127.0.0.1:6379/0", self.redis_url)
        self.write("shop/celery.py", CELERY.format(guide=blocks.pop("shop/celery.py")))
        for name, code in blocks.items():
            path = self.folder / name
            path.write_text(f"{path.read_text()}\n{code}")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def shop(request, tmp_path_factory, site_packages):
    """The project with the package in it, with web server and worker running."""
    folder = tmp_path_factory.mktemp("shop")
    server = PrivateServer(tmp_path_factory.mktemp("redis"), persist=False)
    with ExitStack() as stack:
        database = stack.enter_context(postgresql.server()) if request.param == "postgresql" else ""
        if database:
            database = _new_database(database)
        redis = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(redis.wait)
        stack.callback(redis.terminate)
        server.wait(redis)
        it = Shop(folder, site_packages, server.url, database)
        it.as_it_was()
        it.follow_the_guide()
        it.run("manage.py", "makemigrations", "-v", "0", "jobs", "members")
        it.run("manage.py", "migrate", "-v", "0")
        it.run("manage.py", "shell", "-v", "0", "-c", dedent(f"""
            from django.contrib.auth import get_user_model

            get_user_model().objects.create_superuser({MAIL!r}, {PASSWORD!r})
        """))  # fmt: skip
        it.start("manage.py", "runserver", "--noreload", str(it.port))
        it.start("-m", "celery", "-A", "shop", "worker", "-c", "1")
        stack.callback(it.stop)
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
    with httpx.Client(base_url=f"http://127.0.0.1:{shop.port}", follow_redirects=True, timeout=30) as client:
        wait_until(lambda: _answers(client), 60, "the site is up")
        page = client.get("/room/")
        assert page.url.path == "/admin/login/", "the project's own login is asked"
        _post(client, page, {"username": MAIL, "password": PASSWORD, "next": "/room/"})
        yield client


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/room/healthz").status_code == 200
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


def test_nothing_is_left_to_say(shop):
    said = shop.run("manage.py", "check")
    assert re.findall(r"\((\w+\.\w+)\)", said) == ["jobroom_notifications.W001"], "only that ADMINS is empty"
    assert "No changes detected" in shop.run("manage.py", "makemigrations", "--check", "--dry-run")


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


def test_their_own_test_command_is_theirs(shop):
    assert "Ran 0 tests" in shop.run("manage.py", "test", "--help") + shop.run("manage.py", "test", "members")


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
        assert answer.status_code == 200 or "tell" in address, (address, shop.logs())
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
