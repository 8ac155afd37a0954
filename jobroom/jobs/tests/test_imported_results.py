"""Results of django-celery-results become jobs of the history, once, and nothing of them is lost."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pytest
from celery import Celery, states
from django.core.management import call_command
from django_celery_results.backends.database import DatabaseBackend
from django_celery_results.models import TaskResult

from image.celery import app
from jobroom.arguments.redaction import Secret
from jobroom.jobs import control, imported_results
from jobroom.jobs.models import Attempt, Job, State
from jobroom.management.commands import jobroom

pytestmark = pytest.mark.django_db

MAY = datetime(2026, 5, 4, 12, tzinfo=UTC)


def stored(pk: str, status: str = states.SUCCESS, **fields: Any) -> TaskResult:
    """Return a row as the package's own backend writes it, with times of long ago."""
    values = {"task_name": "demo.add", "task_args": '"(1, 2)"', "task_kwargs": '"{}"', "result": "3", "meta": "{}"}
    values |= {"content_type": "application/json", "content_encoding": "utf-8", "worker": "old@host", **fields}
    row = TaskResult.objects.create(task_id=pk, status=status, **values)
    times = {"date_created": MAY, "date_started": MAY, "date_done": MAY + timedelta(seconds=8)}
    TaskResult.objects.filter(pk=row.pk).update(**times)
    return row


def failed(pk: str, **fields: Any) -> TaskResult:
    """Return a row of a failure."""
    error = {"exc_type": "ValueError", "exc_message": ["bad mesh"], "exc_module": "builtins"}
    return stored(pk, states.FAILURE, result=json.dumps(error), traceback="Traceback …\nValueError: bad mesh", **fields)


def run(*words: str) -> str:
    out = io.StringIO()
    call_command(jobroom.load("import_results"), *words, stdout=out)
    return out.getvalue()


def test_everything_that_is_known_is_kept():
    stored("a", periodic_task_name="nightly")
    assert run().splitlines()[0] == "Imported: 1 of 1 results (1 succeeded)."
    job = Job.objects.get()
    assert (job.pk, job.task, job.state, job.result, job.args, job.kwargs) == (
        "a",
        "demo.add",
        "succeeded",
        3,
        [1, 2],
        {},
    )
    assert (job.schedule, job.source, job.worker, job.tags, job.note) == (
        "nightly",
        "schedule",
        "old@host",
        ["imported"],
        "",
    )
    assert (job.created_at, job.started_at, job.finished_at) == (MAY, MAY, MAY + timedelta(seconds=8))
    (attempt,) = job.attempt_set.all()
    assert (attempt.state, attempt.result, attempt.runtime, job.attempts) == ("succeeded", 3, 8.0, 1)


def test_a_failure_keeps_its_error_and_its_traceback():
    failed("a")
    run()
    job = Job.objects.get()
    assert (job.state, job.error, job.error_type) == ("failed", "bad mesh", "ValueError")
    assert job.traceback == Attempt.objects.get().traceback == "Traceback …\nValueError: bad mesh"


def test_the_packages_own_backend_is_understood(settings):
    own = Celery(set_as_current=False)
    own.conf.update(result_backend="django-db", result_extended=True)
    backend = DatabaseBackend(own)
    request = type(  # the backend reads these names alone
        "Request", (), {
            "argsrepr": "('mesh', [1, None])", "kwargsrepr": "{'faces': 5, 'exact': True}", "task": "assets.repair",
            "hostname": "w@h", "periodic_task_name": None, "children": [], "meta": {}, "id": "a",
        },
    )()  # fmt: skip
    backend.store_result("a", {"faces": 5}, states.SUCCESS, request=request)
    backend.store_result("b", KeyError("mesh"), states.FAILURE, traceback="Traceback", request=request)
    run()
    done, broken = Job.objects.get(pk="a"), Job.objects.get(pk="b")
    assert (done.args, done.kwargs) == (["mesh", [1, None]], {"faces": 5, "exact": True})
    assert (done.result, done.task, done.worker) == ({"faces": 5}, "assets.repair", "w@h")
    assert (broken.state, broken.error_type, broken.error, broken.traceback) == (
        "failed",
        "KeyError",
        "mesh",
        "Traceback",
    )


def test_the_second_run_adds_nothing_and_changes_nothing():
    for number in range(5):
        stored(str(number))
    run()
    Job.objects.filter(pk="3").update(note="mine")
    assert run() == "Imported: 0 of 5 results.\nIn the history already: 5.\n"
    assert (Job.objects.count(), Attempt.objects.count(), Job.objects.get(pk="3").note) == (5, 5, "mine")


def test_it_goes_on_where_it_was_interrupted(monkeypatch):
    monkeypatch.setattr(imported_results, "BATCH", 2)
    for number in range(5):
        stored(str(number))

    def stop(seen: int) -> None:
        if seen == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imported_results.import_results(notify=stop)
    assert Job.objects.count() == 4
    report = imported_results.import_results()
    assert (report.made, report.present, report.seen, Job.objects.count()) == (1, 4, 5, 5)


def test_a_job_that_a_recorder_writes_meanwhile_stays_the_recorders(monkeypatch):
    stored("a"), stored("b")
    made = imported_results._write

    def late(jobs):
        monkeypatch.setattr(imported_results, "_write", made)
        Job.objects.create(pk="a", task="demo.add", note="recorded")
        made(jobs)

    monkeypatch.setattr(imported_results, "_write", late)
    report = imported_results.import_results()
    assert (report.made, report.present) == (1, 1)
    assert (Job.objects.get(pk="a").note, Attempt.objects.filter(job="a").count()) == ("recorded", 0)


def test_what_has_no_end_is_left_out_until_it_has_one():
    stored("a", states.STARTED), stored("b", states.PENDING), stored("c", "PROGRESS", result='{"percent": 4}')
    said = run()
    assert "Left out, as they have no end yet: 3 (1 PENDING, 1 PROGRESS, 1 STARTED)." in said
    assert not Job.objects.exists()
    TaskResult.objects.filter(task_id="a").update(status=states.SUCCESS)
    assert "Imported: 1 of 3 results (1 succeeded)." in run()
    assert "Imported: 2 of 3 results (2 lost)." in run("--unfinished")
    assert Job.objects.get(pk="c").error == "It had no end when it was imported: its state was PROGRESS."


def test_a_dry_run_says_the_same_and_writes_nothing():
    stored("a"), failed("b")
    assert run("--dry-run").splitlines()[0] == "To import: 2 of 2 results (1 failed, 1 succeeded)."
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("status", "result", "state"),
    [
        (states.REVOKED, '{"exc_type": "TaskRevokedError", "exc_message": ["terminated"]}', State.CANCELLED),
        (states.SUCCESS, '"demo.add already running!"', State.SKIPPED),
        (states.SUCCESS, '"another already running!"', State.SUCCEEDED),
        (states.SUCCESS, "null", State.SUCCEEDED),
        (states.FAILURE, None, State.FAILED),
        (states.FAILURE, '"not an error of Celery"', State.FAILED),
        (states.SUCCESS, "no JSON at all", State.SUCCEEDED),
    ],
)
def test_each_state_has_its_own_here(status, result, state):
    stored("a", status, result=result)
    run()
    assert Job.objects.get().state == state


@pytest.mark.parametrize("text", ["(1, 2, ...)", "('a long te...',)", "(<Mesh 4>,)", "({1, 2},)", "(1", "(1e999,)"])
def test_arguments_that_cannot_be_read_are_kept_as_text_and_never_run(text):
    failed("a", task_args=json.dumps(text))
    assert "With arguments or a result that are no JSON: 1." in run()
    job = Job.objects.get()
    assert (job.args, text in job.note) == ([], True)
    assert "imported as text alone" in control.unfit_for_retry(job)


def test_a_failure_with_its_arguments_can_be_retried():
    failed("a")
    run()
    assert control.unfit_for_retry(Job.objects.get()) == ""


def test_a_pickled_result_is_not_read():
    stored("a", content_type="application/x-python-serialize", content_encoding="binary", result="gASVBQA=")
    run()
    job = Job.objects.get()
    assert (job.result, "x-python-serialize" in job.note) == (None, True)


def test_secrets_are_hidden(monkeypatch):
    @app.task(name="test.imports_secrets")
    def login(user, password):
        return user

    @app.task(name="test.imports_token")
    def token() -> Annotated[str, Secret]:
        return ""

    try:
        stored("a", task_name=login.name, task_args="\"('ada', 'lovelace')\"", result='{"token": "lovelace"}')
        stored("b", task_name=login.name, task_args="\"('ada', 'lovelace', ...)\"")
        stored(
            "c",
            states.FAILURE,
            task_name="gone",
            task_kwargs="\"{'password': 'lovelace'}\"",
            traceback="password='lovelace'",
        )
        run()
        stored("d", task_name="test.imports_token", result='"lovelace"')
        run()
        texts = [f"{job.args} {job.kwargs} {job.note} {job.result} {job.traceback}" for job in Job.objects.all()]
        assert [text for text in texts if "lovelace" in text] == []
    finally:
        app.tasks.pop(login.name), app.tasks.pop(token.name)


def test_what_the_clean_up_would_delete_is_said(settings):
    stored("a")
    assert "Older than JOBS_KEEP_DAYS (30): 1." in run("--dry-run")
    settings.JOBROOM = {**settings.JOBROOM, "JOBS_KEEP_DAYS": 0}
    assert "KEEP_DAYS" not in run()


def test_a_row_without_the_name_of_its_task_is_kept():
    stored("a", task_name=None, task_args=None, task_kwargs=None, worker=None)
    assert "Without the name of their task: 1." in run()
    assert (Job.objects.get().task, Job.objects.get().args) == ("", [])


def test_a_nul_that_no_database_holds_is_replaced():
    stored("a", result='"a\\u0000b"')
    run()
    assert Job.objects.get().result == "a\ufffdb"
