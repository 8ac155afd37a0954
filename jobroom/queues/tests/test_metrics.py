"""`/metrics`: read by Prometheus's own parser, counted once, cheap, and only for those who may."""

import pytest
from celery import current_app
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from jobroom import redis
from jobroom.jobs import metric_counters
from jobroom.jobs.recorder.writer import Change
from jobroom.live import sockets
from jobroom.workers import health
from jobroom.workers.tests.engine import worker
from jobroom.workers.tests.test_probes import all_there

pytestmark = pytest.mark.django_db

LABELS = ("task", "queue", "state", "le", "part", "version")


@pytest.fixture(autouse=True)
def _clean():
    redis.client().flushdb()
    metric_counters.forget()
    health.forget()


def change(previous: str, state: str, task: str = "demo.add", **more) -> Change:
    return Change("j", task, state, previous, queue="default", **more)


def samples(client) -> dict[tuple[str, ...], float]:
    text = client.get("/metrics").content.decode()
    return {
        (sample.name, *(sample.labels[name] for name in LABELS if name in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_jobs_are_counted_with_their_waits_and_durations(admin_client):
    metric_counters.count([change("queued", "running", waited=0.3)])
    metric_counters.count(
        [change("running", "succeeded", waited=0.3, took=7.0), change("", "failed", waited=20000, took=0.01)]
    )
    found = samples(admin_client)
    assert found["jobroom_jobs_total", "demo.add", "default", "succeeded"] == 1
    assert found["jobroom_jobs_total", "demo.add", "default", "failed"] == 1
    wait, took = "jobroom_job_wait_seconds", "jobroom_job_duration_seconds"
    assert [found[f"{wait}_bucket", "demo.add", "default", le] for le in ("0.25", "0.5", "14400.0", "+Inf")] == [
        0,
        1,
        1,
        2,
    ]
    assert found[f"{wait}_sum", "demo.add", "default"] == pytest.approx(20000.3)
    assert found[f"{took}_count", "demo.add", "default"] == 2
    assert found[f"{took}_bucket", "demo.add", "default", "0.05"] == 1


def test_what_changes_no_state_is_not_counted_again(admin_client):
    metric_counters.count(
        [change("succeeded", "succeeded", took=1.0), change("running", "running"), change("", "queued")]
    )
    assert not [
        name for name in samples(admin_client) if name[0].startswith("jobroom_job_") or name[0] == "jobroom_jobs_total"
    ]


def test_names_are_bounded(monkeypatch, admin_client):
    monkeypatch.setattr(metric_counters, "MOST", 3)
    metric_counters.count([change("", "failed", task=f't{number}\n"') for number in range(9)])
    metric_counters.forget()  # another recorder
    metric_counters.count([change("", "failed", task=f"u{number}") for number in range(9)])
    found = {name[1]: value for name, value in samples(admin_client).items() if name[0] == "jobroom_jobs_total"}
    assert found[metric_counters.OTHER] == 15
    assert len(found) == 4


def test_queues_workers_lag_sockets_and_parts(admin_client):
    all_there()
    worker("busy@a/9", running=[{"job": "x", "task": "demo.add", "since": 1.0, "until": None}])
    current_app.send_task("demo.add", queue="heavy")
    sockets.report(3)
    found = samples(admin_client)
    assert found["jobroom_queue_depth", "heavy"] == 1
    assert found["jobroom_queue_oldest_seconds", "heavy"] >= 0
    assert found["jobroom_workers", "alive"] == 3
    assert found["jobroom_jobs_running",] == 1
    assert found["jobroom_recorder_lag_events",] == 1
    assert found["jobroom_sockets",] == 3
    assert found["jobroom_part_up", "database"] == 1


def test_it_costs_the_same_with_a_long_history(admin_client, django_assert_max_num_queries):
    samples(admin_client)
    with django_assert_max_num_queries(12):
        samples(admin_client)


def test_open_metrics_where_that_is_asked_for(admin_client):
    metric_counters.count([change("", "failed")])
    answer = admin_client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert "openmetrics" in answer["Content-Type"]
    names = {family.name for family in openmetrics_parser.text_string_to_metric_families(answer.content.decode())}
    assert "jobroom_jobs" in names


def test_who_may(client, admin_client, settings):
    assert client.get("/metrics").status_code == 302
    assert client.get("/metrics", headers={"authorization": "Bearer "}).status_code == 401, "no token is no key"
    settings.JOBROOM = settings.JOBROOM | {"METRICS_TOKEN": "sesame"}
    assert client.get("/metrics", headers={"authorization": "Bearer sesame"}).status_code == 200
    assert client.get("/metrics", headers={"authorization": "Bearer sesam"}).status_code == 401
    settings.JOBROOM = settings.JOBROOM | {"METRICS_OPEN": True}
    assert client.get("/metrics").status_code == 200


def test_without_redis_it_says_so_and_nothing_else(admin_client, settings):
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0", "METRICS_OPEN": True}
    health.forget()
    assert samples(admin_client)["jobroom_part_up", "redis"] == 0
