"""`@task` functions through the backend: what is enqueued, what history says of it as the framework's result, what is refused."""

import json
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from image.celery import app
from jobroom import redis
from jobroom.arguments import WrongArguments, schema_of
from jobroom.backend import JobroomBackend
from jobroom.django_tasks import framework, registration
from jobroom.django_tasks.framework import InvalidTask, TaskResultDoesNotExist, TaskResultStatus
from jobroom.django_tasks.tests import functions
from jobroom.jobs import catalogue, control, launches
from jobroom.jobs.models import Attempt, Job, Source, State

pytestmark = pytest.mark.django_db

HERE = functions.__name__
tasks = import_module(framework.module())
exceptions = import_module(f"{framework.module()}.exceptions")


@pytest.fixture(autouse=True)
def clean(empty_redis):
    return None


@pytest.fixture
def committed(django_capture_on_commit_callbacks):
    return lambda: django_capture_on_commit_callbacks(execute=True)


def messages(queue="default"):
    """Return id, task and priority of every message that waits in the queue, whatever its priority."""
    keys = [key for key in redis.client().keys("*") if key == queue or key.startswith(f"{queue}\x06")]
    texts = [json.loads(text) for key in sorted(keys) for text in redis.client().lrange(key, 0, -1)]
    return [(t["headers"]["id"], t["headers"]["task"], t["properties"]["priority"]) for t in texts]


def ended(job_id, state, **fields):
    Job.objects.filter(pk=job_id).update(state=state, started_at=timezone.now(), finished_at=timezone.now(), **fields)


# --- enqueue ----------------------------------------------------------------------------------------------------------


def test_the_project_runs_its_tasks_here():
    assert tasks.default_task_backend == tasks.task_backends["default"]
    assert isinstance(tasks.task_backends["default"], JobroomBackend)


def test_enqueue_makes_a_job_without_an_owner_and_sends_it_on_commit(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks:
        result = functions.anything.enqueue(1, two=[3])
    assert messages() == []
    job = Job.objects.get(pk=result.id)
    assert (job.task, job.state, job.owner, job.source) == (f"{HERE}.anything", State.QUEUED, None, Source.CODE)
    assert (job.args, job.kwargs, job.queue) == ([1], {"two": [3]}, "default")
    assert (result.status, result.args, result.kwargs) == (TaskResultStatus.READY, [1], {"two": [3]})
    assert (result.task, result.backend, result.attempts, result.errors) == (functions.anything, "default", 0, [])
    assert (result.enqueued_at, result.started_at, result.finished_at) == (job.created_at, None, None)
    for callback in callbacks:
        callback()
    assert messages() == [(result.id, f"{HERE}.anything", 3)]


def test_nothing_is_sent_or_kept_when_the_transaction_rolls_back(committed):
    with committed(), transaction.atomic():
        functions.anything.enqueue()
        transaction.set_rollback(True)
    assert (Job.objects.count(), messages()) == (0, [])


def test_what_could_not_be_sent_is_sent_later():
    result = functions.anything.enqueue(1)  # its transaction never commits here, as if the broker were away
    Job.objects.update(queued_at=timezone.now() - timedelta(hours=1))
    assert launches.send_due() == 1
    assert [message[0] for message in messages()] == [result.id]


def test_queue_priority_and_time_go_with_the_job(committed):
    moment = timezone.now() + timedelta(days=1)
    with committed():
        soon = functions.double.using(priority=100).enqueue(1)
        routed = functions.double.using(queue_name="default", priority=-50).enqueue(1)
        late = functions.double.using(run_after=moment).enqueue(1)
        past = functions.anything.using(run_after=moment - timedelta(days=2)).enqueue()
    assert [(m[0], m[2]) for m in messages("heavy")] == [(soon.id, 0)]
    assert {(m[0], m[2]) for m in messages()} == {(routed.id, 7), (past.id, 3)}
    jobs = Job.objects.in_bulk()
    assert (jobs[late.id].state, jobs[late.id].run_after, jobs[late.id].queue) == (State.SCHEDULED, moment, "heavy")
    for result in (soon, routed, late, past):
        assert functions.anything.get_backend().get_result(result.id) == result  # with what `using` said


@pytest.mark.parametrize(
    ("given", "level"), [(100, 0), (67, 0), (66, 1), (33, 1), (1, 2), (0, 3), (-1, 6), (-26, 7), (-76, 9), (-100, 9)]
)
def test_priorities_keep_their_order(given, level):
    assert registration.priority(functions.anything.using(priority=given)) == level


def test_arguments_are_checked_before_anything_is_written():
    with pytest.raises(TypeError, match="datetime"):
        functions.anything.enqueue(datetime.now(tz=UTC))
    with pytest.raises(WrongArguments, match="number"):
        functions.double.enqueue("many")
    with pytest.raises(WrongArguments, match="unexpected keyword argument 'numbr'"):
        functions.double.enqueue(numbr=1)
    assert not Job.objects.exists()


async def test_coroutines_enqueue_and_read_too(transactional_db):
    result = await functions.later.aenqueue(2)
    assert await functions.later.aget_result(result.id) == result
    await result.arefresh()
    assert result.status == TaskResultStatus.READY
    with pytest.raises(TaskResultDoesNotExist):
        await functions.later.aget_result("123")


def test_the_signal_says_what_was_enqueued():
    seen = []
    receive = lambda sender, task_result, **_: seen.append((sender, task_result.id))  # noqa: E731 — one line
    framework.task_enqueued.connect(receive)
    try:
        result = functions.anything.enqueue()
    finally:
        framework.task_enqueued.disconnect(receive)
    assert seen == [(JobroomBackend, result.id)]


# --- among the tasks --------------------------------------------------------------------------------------------------


def test_a_function_is_among_the_tasks_with_its_description_and_queue():
    entry = catalogue.entry(f"{HERE}.double")
    assert (entry.summary, entry.details) == ("Double a number.", "On a day that may be given.")
    assert (entry.queue, entry.tracked) == ("heavy", True)
    assert f"{HERE}.later" in [one.name for one in catalogue.entries()]


def test_its_form_is_made_from_its_signature_without_the_context():
    found = {p.name: (p.kind, p.required) for p in schema_of(app.tasks[f"{HERE}.double"]).parameters}
    assert found == {"number": ("integer", True), "on": ("date", False)}
    assert [p.name for p in schema_of(app.tasks[f"{HERE}.about_itself"]).parameters] == ["steps"]


def test_a_person_launches_it_as_any_task(staff, client, committed):
    client.force_login(staff)
    page = client.get(f"/tasks/{HERE}.double/")
    assert page.status_code == 200
    assert 'name="number"' in page.content.decode()
    with committed():
        client.post(f"/tasks/{HERE}.double/", {"launch-when": "now", "number": "4", "on": "2026-03-01"})
    job = Job.objects.get()
    assert (job.owner, job.kwargs["number"], job.queue) == (staff, 4, "heavy")
    result = functions.double.get_result(job.pk)
    assert (result.status, result.task) == (TaskResultStatus.READY, functions.double)


def test_who_has_no_right_to_it_does_not_find_it(ada, client):
    client.force_login(ada)
    assert client.get(f"/tasks/{HERE}.double/").status_code == 404


def test_using_changes_nothing_of_the_task():
    functions.double.using(priority=-100, queue_name="ml")
    assert app.tasks[f"{HERE}.double"].priority == 2
    assert launches.default_queue(app.tasks[f"{HERE}.double"]) == "heavy"


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.SCHEDULED, "READY"), (State.QUEUED, "READY"), (State.RETRYING, "READY"), (State.RUNNING, "RUNNING"),
        (State.SUCCEEDED, "SUCCESSFUL"), (State.FAILED, "FAILED"), (State.CANCELLED, "FAILED"), (State.LOST, "FAILED"),
        (State.SKIPPED, "FAILED"),
    ],
)  # fmt: skip
def test_every_state_has_its_status(state, status):
    result = functions.anything.enqueue()
    Job.objects.update(state=state)
    result.refresh()
    assert (result.status, result.is_finished) == (status, status in {"SUCCESSFUL", "FAILED"})


def test_the_value_comes_back():
    result = functions.double.enqueue(4)
    with pytest.raises(ValueError, match="not finished"):
        _ = result.return_value
    ended(result.id, State.SUCCEEDED, result=8)
    result.refresh()
    assert (result.return_value, result.is_finished, result.errors) == (8, True, [])


def test_the_whole_value_comes_back_while_celery_keeps_it():
    result = functions.anything.enqueue()
    app.backend.store_result(result.id, "x" * 200_000, "SUCCESS")
    ended(result.id, State.SUCCEEDED, result="x…")
    result.refresh()
    assert len(result.return_value) == 200_000


def test_errors_of_all_attempts_come_back():
    result = functions.fails.enqueue("no")
    for number, (state, bases) in enumerate([("retrying", ["builtins"]), ("failed", ["ValueError", "Exception"])], 1):
        Attempt.objects.create(
            job_id=result.id, execution=str(number), number=number, worker=f"w{number}@here", state=state,
            started_at=timezone.now(), error="no", error_type="ValueError", traceback="…\nValueError: no",
            error_bases=bases if number == 2 else ["jobroom.exceptions.JobFailed"],
        )  # fmt: skip
    ended(result.id, State.FAILED, error="no", error_type="ValueError")
    result.refresh()
    assert [error.exception_class.__name__ for error in result.errors] == ["JobFailed", "ValueError"]
    assert result.errors[1].traceback == "…\nValueError: no\n"
    assert (result.worker_ids, result.attempts) == (["w1@here", "w2@here"], 2)
    assert result.started_at <= result.last_attempted_at
    with pytest.raises(ValueError, match="failed"):
        _ = result.return_value


def test_a_job_that_ended_without_an_error_says_why(staff, committed):
    with committed():
        result = functions.anything.enqueue()
    control.cancel(job=Job.objects.get(pk=result.id), by=staff)
    result.refresh()
    (error,) = result.errors
    assert (error.exception_class.__name__, error.traceback) == (
        "JobCancelled",
        "Cancelled by grace before it started.\n",
    )


def test_jobs_that_are_none_of_theirs_do_not_exist():
    Job.objects.create(pk="other", task="demo.echo", state=State.SUCCEEDED)
    for result_id in ("other", "none", "", "x" * 300, 123):
        with pytest.raises(TaskResultDoesNotExist):
            functions.anything.get_result(result_id)


def test_a_result_of_another_function_is_refused():
    result = functions.double.enqueue(1)
    with pytest.raises(exceptions.TaskResultMismatch):
        functions.anything.get_result(result.id)


# --- refused ----------------------------------------------------------------------------------------------------------


def test_the_framework_refuses_what_no_backend_can_run():
    with pytest.raises(InvalidTask, match="module level"):
        tasks.task(lambda: None)
    with pytest.raises(InvalidTask, match="first argument of 'context'"):
        tasks.task(takes_context=True)(functions.double.func)
    with pytest.raises(InvalidTask, match="aware"):
        functions.anything.using(run_after=datetime(2026, 1, 1))
    with pytest.raises(InvalidTask, match="Queue 'nowhere'"):
        functions.anything.using(queue_name="nowhere")
    with pytest.raises(InvalidTask, match="priority"):
        functions.anything.using(priority=101)


@override_settings(JOBROOM={"UNTRACKED": (f"{HERE}.anything",)})
def test_a_task_whose_jobs_are_not_recorded_is_refused():
    with pytest.raises(InvalidTask, match="Take it out of UNTRACKED"):
        functions.anything.enqueue()


def test_a_task_of_another_backend_is_refused_with_the_remedy():
    dummy = {"BACKEND": f"{framework.module()}.backends.dummy.DummyBackend", "QUEUES": []}
    ours = {"BACKEND": "jobroom.backend.JobroomBackend", "QUEUES": []}
    with override_settings(TASKS={"default": dummy, "jobs": ours}):
        here = functions.anything.using(backend="jobs")
        with pytest.raises(InvalidTask, match=r"Declare it with @task\(backend='jobs'\)"):
            here.enqueue()


def test_checks_name_queues_without_a_worker():
    backend = JobroomBackend("default", {"QUEUES": ["default", "heavy", "havy"]})
    assert [(found.id, "havy" in found.msg) for found in backend.check()] == [("jobroom.backend.W002", True)]
    assert list(JobroomBackend("default", {}).check()) == []


def test_without_the_framework_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(framework, "find_spec", lambda name: None)
    with pytest.raises(framework.ImproperlyConfigured, match=r"pip install 'django-jobroom\[django-tasks\]'"):
        framework.module()
