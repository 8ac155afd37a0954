"""Answers once, with real workers, a real recorder, and `kill -9`."""

from pathlib import Path

import pytest
from celery import chain, chord, current_app, signature
from django.db import transaction

from demo import tasks as demo
from jobroom import redis
from jobroom.cache import maintenance
from jobroom.jobs import control
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Job, Source, State, StoredFile
from jobroom.tasks import JobFailed
from jobroom.testing import wait_until, write_whole
from jobroom.testing.processes import Recorder, Worker, running
from jobroom.testing.tasks import made_task
from jobroom.workers.rescue import rescue

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(360)]
APP = "tests.acceptance.answer_tasks"


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


@pytest.fixture
def slow():
    """Let this process know the task that its workers have."""

    def run(gate: str): ...

    with made_task(run, name="answers.slow", cache_for=600) as task:
        yield task


@pytest.fixture
def gate(tmp_path):
    return tmp_path / "gate"


def launched(gate: Path, **options) -> str:
    with transaction.atomic():
        job = launch(task="answers.slow", arguments={"gate": str(gate)}, by=None, source=Source.API, **options)
    return job.pk


def runs(gate: Path) -> list[str]:
    """Return the jobs that ran, one for each execution."""
    file = Path(f"{gate}.runs")
    return file.read_text().split() if file.exists() else []


def started(gate: Path, count: int = 1) -> str:
    wait_until(lambda: len(runs(gate)) >= count, 60, "it runs")
    return runs(gate)[-1]


def follow(ids: list[str], leader: str) -> None:
    """Wait until the database says that all wait for the leader."""
    wait_until(lambda: Job.objects.filter(pk__in=ids, answer_of=leader, state=State.QUEUED).count() == len(ids), 60)


def ended(ids: list[str], state: State, seconds: float = 60) -> list[Job]:
    wait_until(lambda: Job.objects.filter(pk__in=ids, state=state).count() == len(ids), seconds, f"{state} {ids}")
    return list(Job.objects.filter(pk__in=ids))


def nothing_left() -> bool:
    kinds = ("flight", "line", "waiting", "of")
    return not [k for kind in kinds for k in redis.client().scan_iter(f"image:answers:{kind}:*")] and not any(
        tally.flying for tally in maintenance.tallies()
    )


def test_one_computes_and_all_others_get_its_answer_and_files(slow, gate):
    with running(Worker(app=APP, concurrency=2), Recorder()):
        leader = launched(gate)
        started(gate)
        waiting = [launched(gate) for _ in range(5)]
        bare = [slow.delay(str(gate)) for _ in range(5)]
        follow([*waiting, *(result.id for result in bare)], leader)
        other = demo.echo.delay("a free process")
        assert other.get(timeout=60) == "a free process", "those who wait occupy no process"
        write_whole(gate, "attach")
        jobs = ended([*waiting, *(result.id for result in bare)], State.SUCCEEDED)
        assert {(job.result, job.answer_of, job.attempts, job.likeness) for job in jobs} == {
            ("attach", leader, 0, None)
        }
        assert [result.get(timeout=60) for result in bare] == ["attach"] * 5
        again = Job.objects.get(pk=launched(gate))
        assert (again.state, again.result, again.answer_of) == (State.SUCCEEDED, "attach", leader)
        assert current_app.AsyncResult(again.pk).get(timeout=60) == "attach"
        assert slow.delay(str(gate)).get(timeout=60) == "attach"
        files = wait_until(lambda: list(StoredFile.objects.made_by(again)), 60)
        assert [(file.name, file.job_id) for file in files] == [("answer.txt", leader)]
        wait_until(nothing_left, 60, "who notifies those that waited may be a moment behind them")
    assert runs(gate) == [leader]


def test_when_the_leaders_worker_is_killed_the_next_one_computes(slow, gate, settings):
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_RESCUE_MARGIN": 1.0}
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_REPLACED_AFTER": 4.5}
    with running(Recorder()), Worker(app=APP, concurrency=1) as doomed:
        leader = launched(gate)
        started(gate)
        waiting = [launched(gate) for _ in range(10)]
        with Worker(app=APP, concurrency=2, name="other"):
            bare = [slow.delay(str(gate)).id for _ in range(10)]
            follow([*waiting, *bare], leader)
            doomed.kill()
            wait_until(lambda: (rescue(), len(runs(gate)) == 2)[1], 90)
            follow([*waiting, *bare][1:], waiting[0])
            write_whole(gate, "answer")
            jobs = ended([*waiting, *bare], State.SUCCEEDED)
            wait_until(nothing_left, 60)
    assert {job.result for job in jobs} == {"answer"}
    assert Job.objects.get(pk=leader).state == State.LOST
    assert runs(gate) == [leader, waiting[0]]


def test_a_job_that_may_run_twice_keeps_its_followers_through_the_death_of_its_worker(gate, settings):
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_RESCUE_MARGIN": 1.0}
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_REPLACED_AFTER": 4.5}
    twice = made_task(lambda_of_gate(), name="answers.twice", cache_for=600, acks_late=True)
    with twice as task, running(Recorder()), Worker(app=APP, concurrency=1) as doomed:
        leader = task.delay(str(gate)).id
        wait_until(lambda: Job.objects.filter(pk=leader, state=State.RUNNING), 60)
        waiting = [task.delay(str(gate)).id for _ in range(20)]
        with Worker(app=APP, concurrency=2, name="other"):
            follow(waiting, leader)
            doomed.kill()
            write_whole(gate, "answer")
            wait_until(lambda: (rescue(), Job.objects.filter(pk=leader, state=State.SUCCEEDED))[1], 90)
            jobs = ended(waiting, State.SUCCEEDED)
            wait_until(nothing_left, 60)
    assert {(job.answer_of, job.result, job.attempts) for job in jobs} == {(leader, "answer", 0)}
    assert Job.objects.get(pk=leader).attempts == 2


@pytest.mark.parametrize(
    ("how", "error"), [("fail", "no answer"), ("refuse", "not today"), ("die", "Worker exited prematurely")]
)
def test_a_failure_is_shared_and_not_kept(slow, gate, how, error):
    with running(Worker(app=APP, concurrency=2), Recorder()):
        leader = launched(gate)
        started(gate)
        waiting = [launched(gate), slow.delay(str(gate)).id]
        follow(waiting, leader)
        write_whole(gate, how)
        jobs = [*ended([leader], State.LOST if how == "die" else State.FAILED), *ended(waiting, State.FAILED)]
        assert all(error in job.error for job in jobs), [job.error for job in jobs]
        with pytest.raises(JobFailed, match=error):
            current_app.AsyncResult(waiting[1]).get(timeout=60)
        write_whole(gate, "better")
        control.retry(job=Job.objects.get(pk=waiting[0]), by=None)
        [job] = ended([waiting[0]], State.SUCCEEDED)
        assert (job.result, job.answer_of) == ("better", "")
    assert set(runs(gate)) == {leader, waiting[0]}


def test_cancelled_jobs_wait_no_more_and_a_cancelled_leader_hands_over(slow, gate):
    with running(Worker(app=APP, concurrency=2), Recorder()):
        leader = launched(gate)
        started(gate)
        waiting = [launched(gate) for _ in range(3)]
        follow(waiting, leader)
        control.cancel(job=Job.objects.get(pk=waiting[0]), by=None, name="ada")
        ended([waiting[0]], State.CANCELLED)
        control.cancel(job=Job.objects.get(pk=leader), by=None, name="ada")
        ended([leader], State.CANCELLED)
        assert started(gate, 2) == waiting[1]
        write_whole(gate, "answer")
        jobs = ended(waiting[1:], State.SUCCEEDED)
        assert sorted((job.pk, job.answer_of) for job in jobs) == sorted([(waiting[1], ""), (waiting[2], waiting[1])])
        wait_until(nothing_left, 60)
    assert Job.objects.get(pk=waiting[0]).state == State.CANCELLED


def test_chains_and_chords_go_on_from_a_job_that_only_waited(slow, gate):
    add = signature("answers.add", app=current_app)
    with running(Worker(app=APP, concurrency=2), Recorder()):
        leader = launched(gate)
        started(gate)
        linked = chain(slow.s(str(gate)), add.clone(kwargs={"more": 1})).delay()
        both = chord([slow.s(str(gate)), slow.s(str(gate))], add.clone()).delay()
        wait_until(lambda: Job.objects.filter(answer_of=leader, state=State.QUEUED).count() == 3, 60)
        write_whole(gate, "answer")
        assert linked.get(timeout=60) == ["answer", 1]
        assert both.get(timeout=60) == [["answer", "answer"], 0]
    assert runs(gate) == [leader]


def test_force_no_cache_and_recalculate(slow, gate):
    write_whole(gate, "first")
    with running(Worker(app=APP, concurrency=2), Recorder()):
        first = launched(gate)
        ended([first], State.SUCCEEDED)
        write_whole(gate, "second")
        assert Job.objects.get(pk=launched(gate)).result == "first"
        [job] = ended([launched(gate, caching="no_cache")], State.SUCCEEDED)
        assert (job.result, job.answer_of) == ("second", "")
        assert Job.objects.get(pk=launched(gate)).result == "first"
        forced = launched(gate, caching="force")
        ended([forced], State.SUCCEEDED)
        job = Job.objects.get(pk=launched(gate))
        assert (job.result, job.answer_of) == ("second", forced)
        with made_task(lambda_of_number(), name="answers.recalculated", cache_for=600) as task:
            assert task.delay(5).get(timeout=60) == [5, None]
            assert task.delay(5).get(timeout=60) == [5, None]
            again = task.apply_async((5,), headers={"caching": "recalculate"})
            assert again.get(timeout=60) == [5, [5, None]]
            assert task.delay(5).get(timeout=60) == [5, [5, None]]


def lambda_of_gate():
    def run(gate: str): ...

    return run


def lambda_of_number():
    def run(number: int): ...

    return run


def test_an_emptied_redis_strands_no_one(slow, gate):
    with running(Worker(app=APP, concurrency=2), Recorder()):
        leader = launched(gate)
        started(gate)
        waiting = [launched(gate), slow.delay(str(gate)).id]
        follow(waiting, leader)
        for key in redis.client().scan_iter("image:answers:*"):
            redis.client().delete(key)
        write_whole(gate, "answer")
        jobs = ended(waiting, State.SUCCEEDED)
    assert {job.result for job in jobs} == {"answer"}


def test_what_a_killed_process_left_half_handed_on_is_finished(slow, gate):
    """The leader's process dies after its answer is kept and before those who wait were notified."""
    with running(Recorder()):
        leader, waiting = launched(gate), [launched(gate) for _ in range(3)]
        follow(waiting, leader)
        from jobroom.cache import single_flight

        asks = single_flight.question_of(leader)
        single_flight.conclude(asks, leader, {"state": "succeeded", "result": '"kept"', "answer_of": leader})
        redis.client().hset(f"image:answers:flight:{asks}", "since", "1")
        redis.client().zadd("image:answers:flights", {asks: 1})
        jobs = ended(waiting, State.SUCCEEDED)
        wait_until(nothing_left, 60)
    assert {job.result for job in jobs} == {"kept"}


def test_five_hundred_identical_launches_compute_once(slow, gate):
    with running(Worker(app=APP, concurrency=2), Recorder()):
        ids = [launched(gate) for _ in range(500)]
        started(gate)
        write_whole(gate, "answer")
        jobs = ended(ids, State.SUCCEEDED, 90)
        wait_until(nothing_left, 60)
    assert {job.result for job in jobs} == {"answer"}
    assert len(runs(gate)) == 1
