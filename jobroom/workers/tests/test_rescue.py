"""What rescue does with each kind of leftover."""

import json

import pytest
from celery import current_app
from django.utils import timezone

from jobroom import events, housekeeping_loops, redis
from jobroom.events import consumer, heartbeat
from jobroom.jobs.models import Attempt, Job, State
from jobroom.signals import housekeeping
from jobroom.workers import receivers, rescue, silent
from jobroom.workers.broker import connect
from jobroom.workers.exceptions import WrongCommand
from jobroom.workers.tests.engine import receive, received, reported, unacknowledged, waiting, worker

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # Celery's Redis backend still calls it.
    pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning"),
]

DEAD = "default@test/1-1.000"
ALIVE = "default@test/2-2.000"
LATE, EARLY = "demo.wait", "demo.fail"  # the first may run twice


@pytest.fixture(autouse=True)
def _clean(settings):
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_RESCUE_MARGIN": 0.0}
    redis.client().flushdb()


def running_job(job_id: str, task: str = LATE, state: str = State.RUNNING, instance: str = DEAD) -> Job:
    """Write a job into the database, as if the recorder had."""
    job = Job.objects.create(
        id=job_id,
        task=task,
        state=state,
        instance=instance,
        worker="default@test",
        queue="default",
        execution="e1",
        may_rerun=task == LATE,
        started_at=timezone.now(),
    )
    Attempt.objects.create(job=job, execution="e1", instance=instance)
    forget_events()
    return job


def forget_events() -> None:
    """Pretend that the recorder has caught up."""
    redis.client().delete(events.stream())


def look() -> rescue.Report:
    """Do one round."""
    report = rescue.rescue()
    assert report is not None
    return report


def test_a_message_of_a_job_that_was_running_goes_back_and_the_attempt_ends():
    received(LATE, "a")
    running_job("a")
    assert look().put_back == ["a"]
    assert (waiting(), unacknowledged()) == (["a"], 0)
    (event,) = reported("a")
    assert (event["type"], event["execution"], event["error_type"]) == ("retrying", "e1", "WorkerLost")


def test_a_rescued_message_is_the_next_one_of_its_queue():
    received(LATE, "a")
    running_job("a")
    current_app.send_task(LATE, task_id="b", ignore_result=True)
    forget_events()
    look()
    assert waiting() == ["a", "b"]


def test_a_message_keeps_its_priority():
    with connect() as broker:
        assert broker is not None
        received(LATE, "a", priority=6)
        running_job("a")
        look()
        assert redis.client().llen("default\x06\x166") == 1
        assert list(broker.waiting("default")) == ["a"]


def test_a_message_that_a_living_worker_holds_stays():
    tag = received(LATE, "a")
    running_job("a", instance=worker(ALIVE, tags=[tag], held=["a"]))
    assert look() == rescue.Report()
    assert unacknowledged() == 1


def test_a_message_stays_until_every_reader_of_its_queue_has_spoken_again():
    received(LATE, "a")
    running_job("a")
    worker(ALIVE, silent=0)
    assert look().put_back == []
    assert look().put_back == []
    worker(ALIVE, silent=0)
    assert look().put_back == ["a"]


def test_a_message_that_went_back_and_was_received_again_is_no_old_suspect():
    tag = received(LATE, "a")
    running_job("a")
    worker(ALIVE, silent=0)
    assert look().put_back == []
    with connect() as broker:
        assert broker is not None
        broker.put_back(tag)
    worker(ALIVE, silent=0)  # speaks after the suspicion, and before it receives the message
    again = receive()
    assert again != tag, "who had it before cannot acknowledge it for the one that has it now"
    assert look() == rescue.Report()
    worker(ALIVE, silent=0, tags=[again], held=["a"])
    assert look() == rescue.Report()
    assert unacknowledged() == 1


def test_nothing_is_believed_before_the_margin(settings):
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_RESCUE_MARGIN": 0.5}
    received(LATE, "a")
    running_job("a")
    assert look() == rescue.Report()
    assert unacknowledged() == 1


def test_a_message_of_a_finished_job_is_dropped():
    received(LATE, "a")
    running_job("a", state=State.SUCCEEDED)
    assert look().dropped == ["a"]
    assert (waiting(), unacknowledged(), reported("a")) == ([], 0, [])


def test_a_started_job_that_may_not_run_twice_is_lost_and_its_message_dropped():
    received(EARLY, "a")
    running_job("a", task=EARLY)
    report = look()
    assert (report.lost, report.dropped) == (["a"], ["a"])
    (event,) = reported("a")
    assert (event["type"], event["state"], event["execution"]) == ("finished", "lost", "e1")


def test_a_job_that_never_started_goes_back_whatever_its_task_says():
    received(EARLY, "a")
    running_job("a", task=EARLY, state=State.QUEUED)
    assert look().put_back == ["a"]
    assert reported("a") == []


def test_a_job_that_no_one_recorded_goes_back():
    received(EARLY, "a")
    forget_events()
    assert look().put_back == ["a"]


@pytest.mark.parametrize("recorded", [True, False])
def test_a_job_that_loses_its_worker_every_time_is_given_up(settings, recorded):
    settings.JOBROOM = settings.JOBROOM | {"MAX_LOST": 2}
    received(LATE, "a")
    forget_events()
    if recorded:
        running_job("a")
    assert look().put_back == ["a"]
    redis.client().delete("default")
    received(LATE, "a")
    forget_events()
    report = look()
    assert (report.put_back, report.dropped) == ([], ["a"])
    if recorded:
        assert "number 2" in reported("a")[0]["error"]


def test_a_running_job_without_message_and_worker_is_lost_and_mailed_once(settings, mailoutbox):
    settings.ADMINS = [("Ada", "ada@example.org")]
    running_job("a", task=EARLY)
    assert look().lost == ["a"]
    assert "vanished" in reported("a")[0]["error"]
    forget_events()
    assert look().lost == []
    assert len(mailoutbox) == 1


def test_a_running_job_whose_message_waits_again_is_not_lost():
    running_job("a")
    current_app.send_task(LATE, task_id="a", ignore_result=True)
    forget_events()
    assert look().lost == []
    assert [event["type"] for event in reported("a")] == ["retrying"]


@pytest.mark.parametrize("instance", [ALIVE, "shell/77"])
def test_a_job_of_a_living_worker_or_of_no_worker_is_left_alone(instance):
    worker(ALIVE, held=["a"])
    running_job("a", task=EARLY, instance=instance)
    assert look() == rescue.Report()


def test_a_job_that_its_living_worker_does_not_know_any_more_is_lost():
    worker(ALIVE, silent=0, held=["b"])
    running_job("a", task=EARLY, instance=ALIVE)
    assert look().lost == []
    worker(ALIVE, silent=0, held=["b"])
    assert look().lost == ["a"]
    assert "does not know it any more" in reported("a")[0]["error"]


@pytest.mark.parametrize("with_message", [True, False])
@pytest.mark.parametrize("good", [True, False])
def test_a_job_whose_end_only_celery_knows_has_that_end(good, with_message):
    if with_message:
        received(LATE, "a")
    running_job("a")
    if good:
        current_app.backend.mark_as_done("a", {"answer": 42})
    else:
        current_app.backend.mark_as_failure("a", ValueError("no luck"), traceback="the trace")
    report = look()
    assert (report.lost, report.put_back, report.dropped) == ([], [], ["a"] if with_message else [])
    assert (waiting(), unacknowledged()) == ([], 0)
    (event,) = reported("a")
    if good:
        assert (event["state"], event["result"]) == ("succeeded", '{"answer": 42}')
    else:
        assert (event["state"], event["error"], event["error_type"]) == ("failed", "no luck", "ValueError")


def test_the_result_of_an_earlier_attempt_is_no_end():
    current_app.backend.mark_as_done("a", 42)
    running_job("a")
    assert look().lost == ["a"]


def test_while_the_database_is_behind_no_job_is_called_lost():
    running_job("a", task=EARLY)
    redis.client().xadd(events.stream(), {"e": "{}"}, id="1-1")
    assert look().lost == []


def test_a_replaced_worker_is_gone_before_its_time_out_and_forgotten():
    worker(DEAD, silent=7, started=1.0)
    worker(ALIVE, started=2.0)
    living, gone = rescue.living_and_gone(heartbeat.workers())
    assert ([w.instance for w in living], [w.instance for w in gone]) == ([ALIVE], [DEAD])
    assert look().forgotten == [DEAD]
    assert [w.instance for w in heartbeat.workers()] == [ALIVE]


def test_two_workers_of_one_name_that_both_beat_both_live():
    worker(DEAD, started=1.0)
    worker(ALIVE, started=2.0)
    assert rescue.living_and_gone(heartbeat.workers())[1] == []


def test_a_silent_worker_stays_on_the_list_for_a_while(settings):
    worker(DEAD, silent=100)
    assert look().forgotten == []
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_REMEMBER_VANISHED": 50}
    assert look().forgotten == [DEAD]


def test_one_round_at_a_time():
    redis.client().set(redis.key("rescue", "turn"), "another", ex=3600)
    assert rescue.rescue() is None


def test_right_after_a_start_of_redis_nothing_is_done(settings):
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_RESCUE_MARGIN": 1e9}
    assert rescue.rescue() is None


def test_housekeeping_rescues_and_survives_a_redis_that_is_away(settings, caplog):
    receivers.connect()
    received(LATE, "a")
    running_job("a")
    housekeeping.send(None)
    assert waiting() == ["a"]
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    rescue.safely()
    assert "Rescue: Redis is unavailable" in caplog.text


def test_a_job_whose_result_cannot_be_read_keeps_no_other_from_being_rescued():
    backend = current_app.backend
    unreadable = {
        "status": "SUCCESS",
        "result": {"__type__": "uuid", "__value__": 3},
        "date_done": "2020-01-01T00:00:00",
    }
    backend.set(backend.get_key_for_task("a"), json.dumps(unreadable))
    running_job("a", task=EARLY)
    running_job("b", task=EARLY)
    assert sorted(look().lost) == ["a", "b"]
    assert "job a" in housekeeping_loops.faults()["rescue"]["row"]


def test_a_foreign_message_over_which_workers_vanish_is_a_dead_letter(settings):
    settings.JOBROOM = settings.JOBROOM | {"MAX_LOST": 1}
    received(LATE, "a")
    forget_events()
    assert look().dropped == ["a"]
    events_of_job = {event["type"]: event for event in reported("a")}
    assert events_of_job["refused"]["kind"] == "repeated"
    assert events_of_job["finished"]["state"] == "failed"
    assert "MAX_LOST" in events_of_job["finished"]["error"]


def test_what_a_silent_worker_holds_goes_back_at_once_when_someone_says_that_it_is_gone(settings):
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_RESCUE_MARGIN": 600.0}
    tags = [received(LATE, "again"), received(EARLY, "lost"), received(LATE, "not-started")]
    running_job("again")
    running_job("lost", EARLY)
    running_job("without-a-message", EARLY)
    worker(DEAD, silent=60, tags=tags, held=["again", "lost", "not-started"])
    worker(ALIVE, queues=["other"])
    said = silent.give_back("default@test", by="grace", reason="the machine burns")
    assert said == "default@test is forgotten: 2 jobs went back into the queue, 2 jobs lost."
    assert (sorted(waiting()), unacknowledged()) == (["again", "not-started"], 0)
    assert [event["type"] for event in reported("again")] == ["retrying"]
    assert [event["state"] for event in (*reported("lost"), *reported("without-a-message"))] == ["lost", "lost"]
    assert [each.instance for each in heartbeat.workers()] == [ALIVE]


def test_nothing_is_given_back_while_the_history_is_behind(monkeypatch):
    worker(DEAD, silent=60)
    monkeypatch.setattr("jobroom.workers.silent.consumer.lag", lambda: consumer.Lag(9, 60.0))
    with pytest.raises(WrongCommand, match="history is behind"):
        silent.give_back("default@test", by="grace", reason="x")
