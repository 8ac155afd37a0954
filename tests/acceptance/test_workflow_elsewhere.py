"""Nodes in a worker that knows nothing of Jobroom: plain Celery with the same broker, and not a line of ours."""

import sys
from collections import Counter
from textwrap import dedent

import pytest
from django.conf import settings

from image.celery import app
from jobroom import redis
from jobroom.jobs.models import Job
from jobroom.testing import wait_until
from jobroom.testing.processes import Process, Recorder, Worker, running
from jobroom.workflows import services
from jobroom.workflows.models import State, StoredWorkflow
from jobroom.workflows.workflows import Workflow
from tests.acceptance import workflow_tasks as tasks

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.xdist_group("elsewhere"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(480),
]

SLOW = 90.0
SOON = {"DJANGO_SETTINGS_MODULE": "tests.acceptance.soon_settings"}
PLAIN = """
    import os
    import time

    import redis
    from celery import Celery

    app = Celery("elsewhere", broker=os.environ["THE_REDIS"], backend=os.environ["THE_REDIS"])
    app.conf.task_default_queue = "elsewhere"
    store = redis.Redis.from_url(os.environ["THE_REDIS"])


    @app.task(name="elsewhere.double")
    def double(number, secs=0.0):
        store.rpush("elsewhere:ran", number)
        time.sleep(secs)
        return {"twice": 2 * number}


    @app.task(name="elsewhere.fail")
    def fail(*_):
        store.rpush("elsewhere:ran", "fail")
        if not store.exists("elsewhere:ok"):
            raise ValueError("not over there")
        return "mended"
"""


@pytest.fixture
def elsewhere(tmp_path):
    """Return a worker that loads this one module alone."""
    redis.client().flushdb()
    (tmp_path / "plain.py").write_text(dedent(PLAIN))
    argv = [sys.executable, "-m", "celery", "-A", "plain", "--workdir", str(tmp_path), "worker", "-Q", "elsewhere"]
    argv += ["-n", "elsewhere@test", "-c", "2", "-l", "INFO", "--without-gossip", "--without-mingle"]
    env = {"THE_REDIS": settings.JOBROOM["REDIS_URL"], "DJANGO_SETTINGS_MODULE": "", "PYTHONPATH": str(tmp_path)}
    return Process("elsewhere", argv, env, warm=False)


def foreign(name, *args):
    return app.signature(f"elsewhere.{name}", args=args, immutable=True, queue="elsewhere")


def ended(workflow):
    """Wait for the end; return what the database says when it has everything."""

    def over():
        found = StoredWorkflow.objects.get(pk=workflow.id)
        return found.state not in {State.RUNNING, State.PAUSED} and found

    return wait_until(over, SLOW, "the workflow ends")


def ran():
    return Counter(text for text in redis.client().lrange("elsewhere:ran", 0, -1))


def test_results_go_from_there_to_here_and_back(elsewhere):
    workflow = Workflow(name="there and back", external=("elsewhere.*",))
    first = workflow.add_signature(foreign("double", 4), key="first")
    here = workflow.add_signature(tasks.add.si(first.result["twice"], 1), key="here")
    last = workflow.add_signature(foreign("double", here.result), key="last")
    workflow.returns({"all": [first.result, here.result, last.result["twice"]]})
    with running(elsewhere, Worker(app="tests.acceptance.workflow_tasks"), Recorder(env=SOON)):
        workflow.apply_async()
        stored = ended(workflow)
        assert (stored.state, stored.result) == (State.SUCCESS, {"all": [{"twice": 8}, 9, 18]})
        wait_until(
            lambda: StoredWorkflow.objects.get(pk=workflow.id).node_states == "sss", SLOW, "the database has every node"
        )
        jobs = {job.node: job for job in Job.objects.filter(workflow_id=workflow.id)}
    assert [(jobs[node].state, jobs[node].result) for node in "012"] == [
        ("succeeded", {"twice": 8}),
        ("succeeded", 9),
        ("succeeded", {"twice": 18}),
    ]
    assert ran() == {"4": 1, "9": 1}


def test_a_failure_there_blocks_what_follows_and_resume_runs_it_again(elsewhere):
    workflow = Workflow(name="fails there", external=("elsewhere.*",))
    before = workflow.add_signature(foreign("double", 1), key="before")
    bad = workflow.add_signature(foreign("fail"), [before], key="bad")
    workflow.add_signature(tasks.count.si("after"), [bad], key="after")
    notified = workflow.add_signature(tasks.count.si("notified"), key="notified")
    notified.add_dependency(bad, {"when": "failure"})
    with running(elsewhere, Worker(app="tests.acceptance.workflow_tasks"), Recorder(env=SOON)):
        workflow.apply_async()
        stored = ended(workflow)
        assert stored.state == State.FAILURE
        wait_until(
            lambda: StoredWorkflow.objects.get(pk=workflow.id).node_states == "sfbs",
            SLOW,
            "the database has every node",
        )
        job = Job.objects.get(workflow_id=workflow.id, node="1")
        assert (job.state, job.error, job.error_type) == ("failed", "not over there", "ValueError")
        redis.client().set("elsewhere:ok", 1)
        assert [node.key for node in services.resume(StoredWorkflow.objects.get(pk=workflow.id), by=None)] == ["bad"]
        assert ended(workflow).state == State.SUCCESS
    assert ran() == {"1": 1, "fail": 2}


def test_a_long_node_there_is_not_taken_for_lost(elsewhere):
    workflow = Workflow(name="long there", external=("elsewhere.*",))
    workflow.add_signature(foreign("double", 7, 25.0), key="long")
    with running(elsewhere, Recorder(env=SOON)):
        workflow.apply_async()
        assert ended(workflow).state == State.SUCCESS
    assert ran() == {"7": 1}
