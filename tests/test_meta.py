"""What holds for the project as a whole: tasks, models, addresses, foreign files, locked requirements."""

import inspect
import re
import tomllib
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from image.celery import app
from jobroom.tasks import BaseTask

ROOT = Path(settings.BASE_DIR)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = PROJECT["tool"]["importlinter"]["root_packages"]

# Anyone who watches Jobroom, wants to sign in, or reads the description of the API, is a stranger.
FOR_STRANGERS = {
    *("/healthz", "/readyz", "/login/", "/admin/login/"),
    *("/password-reset/", "/password-reset/sent/", "/password-reset/x/x/", "/password-reset/done/"),
    *("/api/token/", "/api/token/refresh/", "/api/schema/"),
}
# Models without a page of their own in the admin, and where they are seen.
SHOWN_ELSEWHERE = {
    "jobroom_notifications.AlertDelivery": "the page of the rule that sent it",
    "jobroom_notifications.AlertRule": "the page of alerts, each person their own",
    "jobroom_notifications.AlertState": "the page of the rule",
    "jobroom_jobs.Expectation": "the page of deadlines, where people say it with an audit",
    "jobroom_jobs.Lateness": "the page of the job, and the list by `late`",
    "jobroom_jobs.FailureCount": "the pages of failures",
    "jobroom_jobs.FailureGroup": "the pages of failures, where people act on them with an audit",
    "jobroom_jobs.StagedJob": "the page of the cause whose jobs are retried, as numbers",
    "jobroom_jobs.StagedRetry": "the page of the cause whose jobs are retried",
    "jobroom_jobs.DurationTally": "the charts of waits and durations",
    "jobroom_jobs.HourTally": "the chart of the overview",
    "jobroom_schedules.Backfill": "on its own page, where people pause and cancel it with an audit",
    "jobroom_schedules.Calendar": "on the pages of calendars, with the check of its lines and an audit",
    "jobroom_schedules.ScheduleMark": "for schedulers alone: which rows they read again",
    "jobroom_audit.Act": "on the page of the audit; the admin offers to change what is kept for good",
    "jobroom_queues.Pause": "on the page of queues; a row alone would not reach the workers",
    "jobroom_jobs.LogLine": "on the job's page, as its log",
    "jobroom_jobs.Profile": "on the person's own page, and in the order of their catalogue",
    "jobroom_schedules.ScheduleDetail": "on the schedule's page, as the notice of what beat found wrong and mended",
    "jobroom_schedules.SchedulePolicy": "on the schedule's page, among its facts, and on the page of its policy",
    "jobroom_schedules.ScheduledRun": "on the schedule's page, among the runs that were not sent when they were due",
    "jobroom_schedules.SettingsSchedule": "on the schedule's page, as its difference from the settings",
}
REFUSALS = {302, 401, 403, 404}
SAMPLES = {"int": "1", "str": "x", "slug": "x", "path": "x", "uuid": "00000000-0000-0000-0000-000000000000"}


def our_tasks():
    return [task for task in app.tasks.values() if type(task).run.__module__.partition(".")[0] in OURS]


def has_explicit_name(task):
    """Return whether the author wrote the name: in the decorator, or in the class."""
    if not getattr(type(task), "_decorated", False):
        return bool(vars(type(task)).get("name"))
    decorators = inspect.getsource(task.run).partition("\ndef ")[0]
    return re.search(r"\bname=", decorators) is not None


def our_models():
    return [model for model in apps.get_models() if model.__module__.partition(".")[0] in OURS and model._meta.managed]


def test_there_are_tasks_of_ours():
    assert {"image.celery.clearsessions", "common.tasks.clearsessions", "Fetch USI status", "demo.echo"} <= {
        task.name for task in our_tasks()
    }


def test_every_task_of_ours_is_a_base_task():
    assert [task.name for task in our_tasks() if not isinstance(task, BaseTask)] == []


def test_every_task_of_ours_says_what_it_does():
    silent = [
        task.name
        for task in our_tasks()
        if not (task.description or vars(type(task)).get("__doc__") or task.run.__doc__ or "").strip()
    ]
    assert silent == []


def test_every_task_of_ours_has_an_explicit_name():
    """A name that follows the module's would change when the code is moved, and messages under way would be lost."""
    # Django's framework knows a function by its import path alone; ours of that kind are for its tests.
    found = [task for task in our_tasks() if not (getattr(task, "django_task", False) and ".tests." in task.name)]
    unnamed = [task.name for task in found if not has_explicit_name(task)]
    # The documented line `@app.task(bind=True, base=app.Task)` gives it this very name, which schedules rely on.
    assert unnamed == ["image.celery.clearsessions"]


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_every_model_of_ours_is_in_the_admin():
    shown = set(admin.site._registry)
    for options in admin.site._registry.values():
        shown |= {inline.model for inline in options.inlines}
    missing = {model._meta.label for model in our_models() if model not in shown}
    assert missing == set(SHOWN_ELSEWHERE)


def addresses(resolver=None, prefix="/"):
    """Yield an example of every address of the site."""
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern.pattern, RoutePattern):
            part = re.sub(r"<(?:(\w+):)?\w+>", lambda found: SAMPLES[found[1] or "str"], str(pattern.pattern))
        else:
            part = re.sub(r"\(\?P<\w+>[^)]*\)", "x", str(pattern.pattern)).strip("^$").replace(r"\Z", "")
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern, prefix + part)
        elif isinstance(pattern, URLPattern):
            yield prefix + part


def answer(client, address):
    response = client.get(address)
    return response if response.status_code != 405 else client.post(address)


@pytest.mark.django_db
def test_a_stranger_is_shown_nothing():
    client = Client()
    found = {address: answer(client, address).status_code for address in addresses()}
    assert len(found) > 20
    assert {address: status for address, status in found.items() if status not in REFUSALS} == {
        address: status for address, status in found.items() if address in FOR_STRANGERS
    }


@pytest.mark.django_db
def test_a_refused_stranger_is_sent_to_a_login_page():
    response = Client().get("/admin/jobroom_jobs/job/")
    assert response.status_code == 302
    assert "login" in response.headers["Location"]


def test_files_of_others_have_their_licence_beside_them():
    vendor = ROOT / "jobroom/ui/static/jobroom/vendor"
    files = [path for path in vendor.rglob("*") if path.is_file()]
    without = [path for path in files if not any(licences(folder) for folder in folders_up_to(vendor, path))]
    assert [str(path.relative_to(ROOT)) for path in without] == []


def folders_up_to(top, path):
    return [folder for folder in path.parents if folder == top or top in folder.parents]


def licences(folder):
    return [path for path in folder.iterdir() if re.match(r"licen[sc]e|copying", path.name, re.IGNORECASE)]


def locked(name):
    """Return the requirements of a file, each as one line with its hashes."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def names(requirements):
    return {re.match(r"[\w.-]+", line).group().lower().replace("_", "-") for line in requirements}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_locked_requirement_has_an_exact_version_and_a_hash(name):
    lines = locked(name)
    assert lines
    assert [line for line in lines if not re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []


def test_the_locked_requirements_hold_every_dependency():
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["installation"]]
    assert names(wanted) - names(locked("requirements.txt")) == set()
    assert names(PROJECT["dependency-groups"]["dev"]) - names(locked("requirements-dev.txt")) == set()


def test_the_locked_versions_are_those_of_the_project_file():
    pinned = {line.partition(" ")[0] for name in ("requirements.txt", "requirements-dev.txt") for line in locked(name)}
    groups = PROJECT["dependency-groups"]
    wanted = [*groups["installation"], *groups["dev"]]
    exact = {re.sub(r"\[[^]]*\]", "", line.partition(" ")[0]) for line in wanted if "==" in line.partition(";")[0]}
    assert exact - pinned == set()
