"""Django's own tasks run in a real worker: values, errors, context, coroutines, retries and times."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobroom import redis
from jobroom.django_tasks.framework import TaskResultStatus
from jobroom.django_tasks.tests import functions
from jobroom.jobs import control
from jobroom.jobs.models import Job
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]


def ended(result):
    """Wait until the framework says that it is finished; return the result, as it is then."""

    def look():
        result.refresh()
        return result.is_finished

    wait_until(look, 60, f"{result.task.name} ends")
    return result


def test_a_worker_runs_functions_of_the_framework(django_user_model):
    redis.client().flushdb()
    staff = django_user_model.objects.create_superuser("grace", password="hopper")
    with running(Worker(app=functions.__name__, queues="default,heavy"), Recorder()):
        sent = {
            "value": functions.double.enqueue(4, on="2026-03-01"),
            "coroutine": functions.later.enqueue(3),
            "error": functions.fails.enqueue("no luck"),
            "exit": functions.leaves.enqueue(),
            "code": functions.returns_code.enqueue(),
            "context": functions.about_itself.enqueue(steps=3),
            "soon": functions.double.using(run_after=timezone.now() + timedelta(seconds=1)).enqueue(5),
            "chain": functions.enqueues.enqueue(6),
        }
        found = {name: ended(result) for name, result in sent.items()}
        again_id = found["error"].id
        control.retry(job=wait_until(lambda: Job.objects.filter(pk=again_id, state="failed").first(), 30), by=staff)
        wait_until(lambda: functions.fails.get_result(again_id).attempts == 2, 60)
        again = ended(functions.fails.get_result(again_id))
        inner = ended(functions.double.get_result(found["chain"].return_value))
        child = wait_until(lambda: Job.objects.filter(pk=inner.id, state="succeeded").first(), 60)
        reported = wait_until(lambda: Job.objects.filter(pk=found["context"].id, state="succeeded").first(), 60)

    values = {name: one.return_value for name, one in found.items() if one.status == TaskResultStatus.SUCCESSFUL}
    assert values == {
        "value": 8,
        "coroutine": [3, 3],
        "context": {
            "id": sent["context"].id, "attempt": 1, "status": "RUNNING", "enqueued": True, "args": [], "kwargs": {"steps": 3},
        },
        "soon": 10,
        "chain": inner.id,
    }  # fmt: skip
    errors = {name: one.errors[0].exception_class.__name__ for name, one in found.items() if one.errors}
    assert errors == {"error": "ValueError", "exit": "SystemExit", "code": "TypeError"}
    assert found["error"].errors[0].traceback.endswith("ValueError: no luck\n")
    value = found["value"]
    assert (value.args, value.kwargs) == ([4], {"on": "2026-03-01"})
    assert (value.worker_ids, value.attempts) == (["worker@test"], 1)
    assert value.enqueued_at <= value.started_at == value.last_attempted_at <= value.finished_at
    assert found["soon"].started_at >= found["soon"].task.run_after
    assert ([error.exception_class for error in again.errors], again.attempts) == ([ValueError, ValueError], 2)
    assert (inner.return_value, child.parent_id, child.source) == (12, found["chain"].id, "task")
    assert (reported.fraction, [line.message for line in reported.log_lines.all()]) == (
        1.0,
        ["step 0", "step 1", "step 2"],
    )
