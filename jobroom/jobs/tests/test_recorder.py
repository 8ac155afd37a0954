"""The recorder, with a real Redis and a real database."""

import json
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django_celery_results import models as results
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobroom import events, redis, signals
from jobroom.events import consumer
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs.models import Attempt, Job, LogLine, State
from jobroom.jobs.recorder import Recorder, writer
from jobroom.jobs.tests.events import BEGINNING, attempts, event, finished, queued, record, retrying, started
from jobroom.jobs.tests.test_state_machine import STORIES
from jobroom.testing import wait_until

pytestmark = [pytest.mark.django_db, pytest.mark.sql]
TaskResult: Any = results.TaskResult


@pytest.fixture(autouse=True)
def _empty_stream():
    redis.client().flushdb()


@pytest.fixture
def received():
    """Collect what the recorder signals upwards."""
    heard: list[tuple[str, dict[str, Any]]] = []
    receivers = {
        signals.job_changed: lambda **data: heard.append(("job", data)),
        signals.event_recorded: lambda **data: heard.append(("event", data)),
        signals.housekeeping: lambda **data: heard.append(("housekeeping", data)),
    }
    for signal, receiver in receivers.items():
        signal.connect(receiver)
    yield heard
    for signal, receiver in receivers.items():
        signal.disconnect(receiver)


@pytest.fixture
def _small_batches(settings):
    """Let the events of one job fill a batch."""
    settings.JOBROOM = settings.JOBROOM | {"JOBS_RECORDER_BATCH": 4}


def emit_life(job: str, state: str = "succeeded", **data) -> None:
    """Emit what a job that ran once emits."""
    events.emit("queued", job, task="add", args=[1], kwargs={}, queue="default", source="code")
    events.emit("started", job, task="add", execution=f"x{job}", worker="w@h", instance="w@h/1", pid=1, queue="default")
    events.emit("log", job, execution=f"x{job}", level="info", message="hello")
    events.emit("finished", job, execution=f"x{job}", state=state, result="3", runtime=0.5, **data)


def test_a_job_is_in_the_database_and_the_stream_is_empty():
    emit_life("a")
    assert Recorder().step() == 4
    job = Job.objects.get(pk="a")
    assert (job.task, job.state, job.result, job.worker, job.label) == ("add", State.SUCCEEDED, 3, "w@h", "1")
    assert attempts(job) == [(1, "xa", "succeeded")]
    assert [line.message for line in job.log_lines.all()] == ["hello"]
    assert consumer.lag().entries == 0


def test_the_result_is_archived_with_the_jobs_own_times():
    job = record(queued(1, schedule="nightly"), started(2), finished(3, result='{"a": [1]}'))
    archived = TaskResult.objects.get(task_id=job.pk)
    assert (archived.status, archived.periodic_task_name, archived.task_name) == ("SUCCESS", "nightly", "add")
    assert json.loads(archived.result) == {"a": [1]}
    assert (archived.date_created, archived.date_done) == (job.created_at, job.finished_at)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("succeeded", "SUCCESS"),
        ("skipped", "SUCCESS"),
        ("failed", "FAILURE"),
        ("lost", "FAILURE"),
        ("cancelled", "REVOKED"),
    ],
)
def test_each_end_has_its_celery_state(state, status):
    record(queued(1), started(2), finished(3, state=state, error="no", traceback="Traceback…"))
    archived = TaskResult.objects.get(task_id="job")
    assert (archived.status, archived.traceback) == (status, "Traceback…")


def test_an_archived_result_that_is_there_without_its_job_is_overwritten():
    TaskResult.objects.create(task_id="job", status="STARTED", result="old")
    record(queued(1), started(2), finished(3, result='"new"'))
    archived = TaskResult.objects.get()
    assert (archived.status, archived.result) == ("SUCCESS", '"new"')


def test_the_archive_follows_a_job_that_ran_twice():
    record(queued(1), started(2), finished(3, state="failed", error="no"))
    record(started(4, "b"), finished(5, "b", result="7"))
    assert [(row.status, row.result) for row in TaskResult.objects.all()] == [("SUCCESS", "7")]


@pytest.mark.parametrize("story", [story for story, _ in STORIES.values()], ids=STORIES.keys())
def test_one_batch_or_many_write_the_same(story):
    def snapshot() -> list[Any]:
        tables = (Job.objects.values(), Attempt.objects.order_by("execution").values(), LogLine.objects.values())
        rows = [dict(row) for table in tables for row in table]
        return [{key: value for key, value in row.items() if key != "id" or "at" in row} for row in rows]

    writer.write(story)
    at_once = snapshot()
    Job.objects.all().delete()
    TaskResult.objects.all().delete()
    for item in story:
        writer.write([item])
    writer.write(story)
    assert snapshot() == at_once


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_batches_cut_anywhere_in_any_order_end_in_the_right_state(data):
    Job.objects.all().delete()
    story, state = data.draw(st.sampled_from(list(STORIES.values())))
    order = data.draw(st.permutations(story + data.draw(st.lists(st.sampled_from(story), max_size=3))))
    while order:
        size = data.draw(st.integers(1, len(order)))
        writer.write(order[:size])
        order = order[size:]
    job = Job.objects.get()
    due = state == State.SCHEDULED  # the real clock has not come so far
    assert job.state == state or (due or "eta" in str([e.data for e in story]))


def test_a_batch_of_many_jobs_needs_few_queries(django_assert_max_num_queries):
    batch = []
    for number in range(100):
        job = f"job-{number}"
        batch += [
            event(number * 3 + 1, "queued", job, task="add", args=[], kwargs={}),
            event(number * 3 + 2, "started", job, execution="a"),
            event(number * 3 + 3, "finished", job, execution="a", state="succeeded"),
        ]
    # Jobs, attempts, results, and the counts of ends and of durations. SQLite takes 999 values a statement.
    statements = 30 if connection.vendor == "sqlite" else 9
    with django_assert_max_num_queries(statements):
        writer.write(batch)
    assert Job.objects.filter(state=State.SUCCEEDED).count() == 100


def test_a_launched_row_keeps_its_owner(django_user_model):
    owner = django_user_model.objects.create(username="ada")
    launched = datetime.fromtimestamp(BEGINNING, UTC)
    Job.objects.create(pk="job", task="add", owner=owner, source="page", created_at=launched)
    job = record(queued(1, source="code"), started(2))
    assert (job.owner, job.source, job.state) == (owner, "page", State.RUNNING)


def test_changes_are_signalled_once(received):
    emit_life("a")
    entries: Any = redis.client().xrange(events.stream())
    recorder = Recorder()
    recorder.step()
    for _, fields in entries:  # sent again by a worker that did not hear that Redis had them
        redis.client().xadd(events.stream(), fields)
    assert recorder.step() == 4
    assert [(data["job_id"], data["previous"], data["state"]) for kind, data in received if kind == "job"] == [
        ("a", "", "succeeded")
    ]


def test_other_events_are_passed_on(received):
    events.emit("mail", "a", status="sent", subject="Error in x")
    events.emit("lock", None, action="broken", lock="gate", holder="a", by="ada")
    Recorder().step()
    passed = [data["event"] for kind, data in received if kind == "event"]
    assert [(item["type"], item["job"]) for item in passed] == [("mail", "a"), ("lock", None)]
    assert all(item["seq"] for item in passed)
    assert not Job.objects.exists()


def test_a_receiver_that_raises_harms_no_one(caplog):
    def broken(**_):
        raise ValueError("oh")

    signals.job_changed.connect(broken)
    try:
        emit_life("a")
        Recorder().step()
    finally:
        signals.job_changed.disconnect(broken)
    assert consumer.lag().entries == 0
    assert "broken failed for job a" in caplog.text


POISON = [
    "{",
    "[]",
    "null",
    '{"type": "explode", "job": "p", "at": 1}',
    '{"type": "queued", "at": 1}',
    '{"type": "queued", "job": "", "at": 1}',
    '{"type": "queued", "job": 7, "at": 1}',
    '{"type": "queued", "job": "p", "at": "yesterday"}',
    '{"type": "queued", "job": "p", "at": 1e300}',
    '{"type": "queued", "job": "p", "at": 1, "args": {"a": 1}}',
    '{"type": "queued", "job": "p", "at": 1, "kwargs": []}',
    '{"type": "started", "job": "p", "at": 1}',
    '{"type": "started", "job": "p", "at": 1, "execution": 5}',
    '{"type": "finished", "job": "p", "at": 1, "state": "splendid"}',
    '{"type": "progress", "job": "p", "at": 1}',
    "[" * 100_000,
]


def test_poison_is_put_aside_and_blocks_no_one(caplog):
    for text in POISON:
        redis.client().xadd(events.stream(), {"e": text})
    redis.client().xadd(events.stream(), {"wrong": "field"})
    emit_life("a")
    Recorder().step()
    assert Job.objects.get().state == State.SUCCEEDED
    assert consumer.lag().entries == 0
    assert redis.client().llen(consumer.dead_key()) == len(POISON) + 1
    assert caplog.text.count("is put aside") == len(POISON) + 1


def test_characters_that_a_database_refuses_are_replaced():
    events.emit("queued", "a", task="add", args=["nul \x00", "half \ud800", float("nan")], kwargs={"\x00": 1})
    events.emit("started", "a", execution="x", task="add")
    events.emit("finished", "a", execution="x", state="failed", error="\x00", result='"\\u0000"')
    Recorder().step()
    job = Job.objects.get()
    assert job.args == ["nul \ufffd", "half ?", "NaN"]
    assert (job.error, job.result) == ("\ufffd", "\ufffd")


def test_texts_longer_than_their_columns_are_cut():
    events.emit("queued", "a", task="t" * 300, args=["x" * 1000], kwargs={}, queue="q" * 300, priority=10**12)
    events.emit("log", "a", execution="x", level="l" * 50, message="m" * 5000, obj="o" * 300)
    Recorder().step()
    job = Job.objects.get()
    assert (len(job.task), len(job.label), job.priority) == (255, 40, None)
    assert len(job.log_lines.get().message) == 5000


def test_an_event_that_the_database_refuses_is_found_and_put_aside(monkeypatch, caplog):
    real = writer.write

    def refuses(batch):
        if any(item.job == "bad" for item in batch):
            raise ValueError("refused")
        return real(batch)

    monkeypatch.setattr(writer, "write", refuses)
    for job in ("a", "bad", "b"):
        events.emit("queued", job, task="add", args=[], kwargs={})
    Recorder().step()
    assert set(Job.objects.values_list("pk", flat=True)) == {"a", "b"}
    assert redis.client().llen(consumer.dead_key()) == 1
    assert "of job bad cannot be recorded" in caplog.text


def test_a_crash_between_commit_and_acknowledgement_changes_nothing(monkeypatch, received):
    emit_life("a")
    crashed = Recorder()
    monkeypatch.setattr(crashed.reader, "done", lambda entries: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        crashed.step()
    before = Job.objects.values().get()
    with_next = Recorder()
    wait_until(lambda: with_next.reader.take_over(100, 0.001))  # as its own after the time has passed
    monkeypatch.setattr("jobroom.jobs.recorder.loop.settings", _hasty())
    assert wait_until(with_next.step) == 4
    assert Job.objects.values().get() == before
    assert Attempt.objects.count() == LogLine.objects.count() == TaskResult.objects.count() == 1
    assert consumer.lag().entries == 0
    assert len([data for kind, data in received if kind == "job"]) == 1


def _hasty() -> Any:
    """Return settings with which entries are taken over at once."""
    from jobroom.jobs.conf import settings as real

    class Hasty:
        RECORDER_TAKE_OVER = 0.001

        def __getattr__(self, name):
            return getattr(real, name)

    return Hasty()


def test_the_database_is_away_for_a_moment(monkeypatch, caplog):
    real = writer.write
    calls: Counter[str] = Counter()

    def sometimes(batch):
        calls["n"] += 1
        if calls["n"] < 3:
            raise OperationalError("gone")
        recorder.stop()
        return real(batch)

    recorder = Recorder()
    monkeypatch.setattr(writer, "write", sometimes)
    monkeypatch.setattr("jobroom.jobs.recorder.loop.connection", _Unclosable())
    emit_life("a")
    recorder.run()
    assert Job.objects.get().state == State.SUCCEEDED
    assert caplog.text.count("The recorder waits for the database") == 1
    assert "The recorder continues" in caplog.text


@pytest.mark.usefixtures("_small_batches")
def test_the_next_batch_is_read_while_a_full_one_is_written(monkeypatch):
    real, seen = writer.write, []

    def slow(batch):
        assert recorder.ahead is not None
        seen.append([entry.text for entry, _ in recorder.ahead.result(timeout=30)])
        return real(batch)

    recorder = Recorder()
    monkeypatch.setattr(writer, "write", slow)
    for name in "ab":
        emit_life(name)
    assert recorder.step() == 4
    assert ['"job":"b"' in text for text in seen[0]] == [True] * 4
    assert consumer.lag().entries == 4  # of the first job only the events are taken off
    assert recorder.step() == 4
    assert recorder.step() == 0
    assert consumer.lag().entries == 0
    assert Job.objects.filter(state=State.SUCCEEDED).count() == 2


@pytest.mark.usefixtures("_small_batches")
def test_what_was_read_ahead_is_kept_while_the_database_is_away(monkeypatch):
    recorder = Recorder()
    for name in "ab":
        emit_life(name)
    with monkeypatch.context() as away:
        away.setattr(writer, "write", _refuse)
        for _ in range(2):
            with pytest.raises(OperationalError):
                recorder.step()
    assert [recorder.step() for _ in range(3)] == [4, 4, 0]
    assert Job.objects.filter(state=State.SUCCEEDED).count() == 2


def _refuse(batch):
    raise OperationalError("gone")


@pytest.mark.usefixtures("_small_batches")
def test_who_stops_records_what_was_read_ahead(monkeypatch):
    real = writer.write
    recorder = Recorder()

    def last(batch):
        recorder.stop()
        return real(batch)

    monkeypatch.setattr(writer, "write", last)
    for name in "abc":
        emit_life(name)
    recorder.run()
    assert set(Job.objects.values_list("pk", flat=True)) == {"a", "b"}
    assert consumer.lag().entries == 4
    assert not redis.client().xinfo_consumers(events.stream(), consumer.GROUP)  # it left with nothing in its hands


@pytest.mark.usefixtures("_small_batches")
def test_a_redis_that_goes_away_while_reading_ahead_is_waited_for(monkeypatch):
    recorder = Recorder()
    for name in "ab":
        emit_life(name)
    real = recorder.reader.read

    def goes_away(count, wait):
        monkeypatch.setattr(recorder.reader, "read", gone)
        return real(count, wait)

    def gone(count, wait):
        raise RedisUnavailable("gone")

    monkeypatch.setattr(recorder.reader, "read", goes_away)
    assert recorder.step() == 4
    with pytest.raises(RedisUnavailable):
        recorder.step()
    monkeypatch.setattr(recorder.reader, "read", real)
    assert [recorder.step() for _ in range(2)] == [4, 0]
    assert Job.objects.filter(state=State.SUCCEEDED).count() == 2


class _Unclosable:
    """Stands for the connection, which belongs to the test's transaction."""

    def close(self):
        pass


def test_housekeeping_is_done_by_one_recorder_at_a_time(received):
    first, second = Recorder(), Recorder()
    first._housekeep()
    second._housekeep()
    assert [kind for kind, _ in received] == ["housekeeping"]


@pytest.mark.django_db(transaction=True)
def test_two_recorders_share_the_work():
    count = 60
    for number in range(count):
        emit_life(f"job-{number}")
    recorders = [Recorder(), Recorder()]

    def work(recorder):
        try:
            recorder.run()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(recorder,)) for recorder in recorders]
    for thread in threads:
        thread.start()
    for number in range(count, 2 * count):
        emit_life(f"job-{number}", state="failed")
    try:
        wait_until(lambda: consumer.lag().entries == 0, 30)
    finally:
        for recorder in recorders:
            recorder.stop()
        for thread in threads:
            thread.join(10)
    assert Job.objects.filter(state=State.SUCCEEDED).count() == count
    assert Job.objects.filter(state=State.FAILED).count() == count
    assert Attempt.objects.count() == LogLine.objects.count() == TaskResult.objects.count() == 2 * count
    assert redis.client().llen(consumer.dead_key()) == 0


def test_what_the_recorder_leaves_is_nothing():
    recorder = Recorder()
    recorder.stop()
    recorder.step()
    recorder.run()
    assert redis.client().xinfo_consumers(events.stream(), consumer.GROUP) == []


def test_retries_are_attempts():
    job = record(queued(1), started(2), queued(3, retries=1), retrying(4), started(5, "b"), finished(6, "b"))
    assert attempts(job) == [(1, "a", "retrying"), (2, "b", "succeeded")]
    assert job.attempts == 2
    assert job.runtime == timedelta(seconds=1)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_job_that_gave_its_place_away_is_in_no_queue_until_it_goes_on_or_ends(at_once):
    recorder = Recorder()

    def recorded(kind: str, job: str = "j", **data) -> str:
        events.emit(kind, job, **data)
        if not at_once:
            recorder.step()
        return job

    def given_away(job: str) -> None:
        recorded("queued", job, task="t", args=[1], kwargs={}, queue="ml", retries=0)
        recorded("started", job, task="t", execution=f"e-{job}", retries=0, queue="ml")
        recorded("waiting", job, execution=f"e-{job}", lock="", holder="")
        recorded("replaced", job, execution=f"e-{job}")

    def queue_of(job: str) -> tuple[str, str]:
        recorder.step()
        return Job.objects.values_list("state", "queue").get(pk=job)

    given_away("fails")
    given_away("goes on")
    assert [queue_of("fails"), queue_of("goes on")] == [("queued", ""), ("queued", "")]
    recorded("finished", "fails", execution=None, state="failed", error="a part failed", error_type="ValueError")
    assert queue_of("fails") == ("failed", "ml"), "there it is retried"
    recorded(
        "queued", "goes on", task="other", args=[[2]], kwargs={}, queue="heavy", retries=0, dispatch="replacement-1"
    )
    assert queue_of("goes on") == ("queued", "heavy")
    assert Job.objects.values_list("task", "args").get(pk="goes on") == ("t", [1])
