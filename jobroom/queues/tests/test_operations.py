"""Messages are looked at, removed and moved in steps; their jobs stay true."""

import json

import pytest
from celery import chain

from image.celery import app
from jobroom import events, redis
from jobroom.audit.models import Act
from jobroom.celery import queue_messages
from jobroom.jobs.models import Job, State
from jobroom.jobs.recorder import Recorder
from jobroom.queues import broker, operations, queue_rows
from jobroom.queues.decoded import decode
from jobroom.queues.exceptions import NotThere, Refused
from jobroom.workers import broker as held

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def send(number: int = 1, queue: str = "default", **options) -> list[str]:
    return [app.send_task("demo.echo", [f"text {n}"], queue=queue, **options).id for n in range(number)]


def record() -> None:
    recorder = Recorder()
    while recorder.step():
        pass


def waiting(queue: str = "default") -> list[str]:
    with broker.queues() as found:
        return [queue_messages.job_of(stored.text) for stored in found.page(queue, 0, 1000)]


def first(queue: str = "default", at: int = 0) -> queue_messages.Stored:
    with broker.queues() as found:
        return found.page(queue, at, 1)[0]


def test_a_page_shows_the_next_message_first_and_goes_on_where_it_is_asked():
    jobs = send(120)
    with broker.queues() as found:
        assert [queue_messages.job_of(s.text) for s in found.page("default", 0, 50)] == jobs[:50]
        last = found.page("default", 100, 50)
    assert ([queue_messages.job_of(s.text) for s in last], last[0].position) == (jobs[100:], 100)


def test_messages_of_a_higher_priority_come_first():
    low, high = send(2, priority=9), send(2, priority=0)
    assert waiting() == high + low
    assert first(at=3).position == 3


def test_a_purge_removes_what_the_preview_has_counted_and_ends_its_jobs():
    old = send(5)
    record()
    counts = operations.preview("default")
    new = send(2)
    said = operations.purge("default", counts, by="grace", reason="wrong input")
    record()
    assert said.startswith("Removed 5 messages")
    assert waiting() == new
    ended = Job.objects.filter(pk__in=old)
    assert {(job.state, job.error_type) for job in ended} == {(State.CANCELLED, operations.REMOVED)}
    assert "Removed from the queue default by grace: wrong input" in ended[0].error
    assert set(Job.objects.filter(pk__in=new).values_list("state", flat=True)) == {State.QUEUED}
    act = Act.objects.get()
    assert (act.who, act.action, act.target, act.reason) == ("grace", "purged", "default", "wrong input")


def test_a_job_that_runs_is_not_ended_by_the_removal_of_another_message_of_it():
    (job,) = send()
    redis.client().set(events.running_key(job), "0 - 1 e1")
    operations.purge("default", [1], by="grace", reason="twice")
    record()
    assert Job.objects.get(pk=job).state == State.QUEUED


def test_a_move_keeps_the_order_and_the_jobs_show_their_new_queue():
    (there,) = send(1, "heavy")
    jobs = send(600)
    record()
    operations.move("default", "heavy", operations.preview("default"), by="grace", reason="no worker")
    record()
    assert waiting("heavy") == [there, *jobs]
    assert waiting() == []
    assert set(Job.objects.filter(pk__in=jobs).values_list("queue", "state")) == {("heavy", State.QUEUED)}


def test_a_moved_message_that_goes_back_goes_to_its_new_queue():
    """A worker that is killed gives it back by its routing key."""
    (job,) = send()
    operations.move("default", "heavy", [1], by="grace", reason="no worker")
    with app.connection_for_read() as connection:
        channel = connection.channel()
        message = channel.basic_get("heavy")
        channel.qos.restore_by_tag(message.delivery_tag)
        channel.qos._delivered.clear()
    assert waiting("heavy") == [job]


def test_one_message_is_deleted_wherever_it_is_by_now():
    jobs = send(10)
    shown = first(at=5)
    with broker.queues() as found:
        found.client.rpop("default", 3)  # workers take some meanwhile
    operations.act_on_one("delete", "default", 5, shown.digest, by="grace", reason="poison")
    record()
    assert waiting() == [job for job in jobs[3:] if job != jobs[5]]
    assert Job.objects.get(pk=jobs[5]).state == State.CANCELLED


def test_a_message_that_is_gone_is_said_to_be_gone():
    send(1)
    shown = first()
    redis.client().delete("default")
    with pytest.raises(NotThere, match="not in the queue any more"):
        operations.act_on_one("delete", "default", 0, shown.digest, by="grace", reason="x")
    assert redis.client().hlen(queue_messages.works_key()) == 0


@pytest.mark.parametrize(("kind", "expected"), [("front", [2, 0, 1]), ("back", [0, 1, 2])])
def test_a_message_is_put_to_either_end(kind, expected):
    jobs = send(3)
    at = 2 if kind == "front" else 1
    operations.act_on_one(kind, "default", at, first(at=at).digest, by="grace", reason="")
    order = expected if kind == "front" else [0, 2, 1]
    assert waiting() == [jobs[n] for n in order]


@pytest.mark.parametrize("reason", ["", "   "])
def test_nothing_is_removed_without_a_reason(reason):
    send()
    with pytest.raises(Refused, match="Say why"):
        operations.purge("default", [1], by="grace", reason=reason)
    assert len(waiting()) == 1


def test_a_move_to_an_unknown_queue_names_the_known_ones():
    send()
    with pytest.raises(Refused, match=r"Known: .*default"):
        operations.move("default", "defualt", [1], by="grace", reason="x")
    with pytest.raises(Refused, match="another queue"):
        operations.move("default", "default", [1], by="grace", reason="x")


def test_what_is_killed_in_between_leaves_what_another_needs_to_go_on(monkeypatch):
    jobs = send(3)
    record()
    monkeypatch.setattr(operations, "_end", lambda work, jobs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        operations.purge("default", [3], by="grace", reason="x")
    monkeypatch.undo()
    with held.connect() as found:
        assert found.taken_out() == set(jobs)  # so no one sends them again
    operations.finish_all()
    record()
    assert set(Job.objects.values_list("state", flat=True)) == {State.CANCELLED}
    assert redis.client().keys(redis.key("queues", "*")) == []


def test_what_is_more_than_a_request_does_is_gone_on_with_by_the_recorder(monkeypatch):
    monkeypatch.setattr(operations, "AT_ONCE", 200)
    send(600)
    record()
    said = operations.purge("default", [600], by="grace", reason="x")
    assert "the recorder goes on with 400" in said
    operations.finish_all()
    record()
    assert Job.objects.filter(state=State.CANCELLED).count() == 600


def test_a_message_is_shown_without_secrets_and_with_what_follows():
    chain(app.signature("demo.echo", ["x"]), app.signature("demo.give", immutable=True)).apply_async()
    app.send_task("demo.echo", kwargs={"password": "hush", "text": "y"}, queue="default", countdown=5)
    one, two = decode(first(at=0)), decode(first(at=1))
    assert one.follows == ["then: demo.give"]
    assert (two.kwargs["text"], two.eta is not None) == ("y", True)
    assert "hush" not in repr(two)


@pytest.mark.parametrize("raw", ["nonsense", "{}", '{"headers": 3}', '{"body": "!!", "headers": {"task": "x"}}', "[1]"])
def test_what_is_no_message_is_shown_with_the_reason(raw):
    redis.client().lpush("default", raw)
    assert decode(first()).problem
    assert waiting()
    operations.act_on_one("delete", "default", 0, first().digest, by="grace", reason="rubbish")
    assert waiting() == []


def test_the_board_says_in_which_queue_messages_wait_for_a_worker_that_is_not_there():
    (job, _) = send(2, "heavy")
    record()
    rows = {row.name: row for row in queue_rows.rows()}
    assert (rows["heavy"].state, rows["heavy"].depth, rows["heavy"].is_bad) == ("unserved", 2, True)
    assert rows["heavy"].oldest == Job.objects.get(pk=job).queued_at
    assert (rows["default"].state, rows["default"].depth) == ("idle", 0)
    assert queue_rows.rows()[0].name == "heavy"


def test_two_processes_never_deal_with_the_same_messages():
    """The turn of a process that was suspended for too long is another's: it must not put anything a second time."""
    jobs = send(3)
    with broker.queues() as slow, broker.queues() as fast:
        work = queue_messages.new_work("move", "default", by="grace", reason="x", target="heavy")
        slow.begin(work)
        slow.take(work, [3])
        assert slow.turn(work)
        assert not fast.turn(work)
        texts = slow.taken(work, 10)
        redis.client().delete(queue_messages.turn_key(work.token))  # it has expired
        assert fast.turn(work)
        with pytest.raises(queue_messages.TurnLost):
            slow.put(work, texts)
        slow.end_turn(work)
        fast.put(work, texts)
    assert waiting("heavy") == jobs


def test_a_message_of_an_odd_form_is_addressed_too():
    (job,) = send()
    text = redis.client().lpop("default").replace('"priority": 0', '"priority":0')
    redis.client().lpush("default", text)
    operations.move("default", "heavy", [1], by="grace", reason="x")
    assert waiting("heavy") == [job]
    assert '"routing_key": "heavy"' in redis.client().lindex("heavy", 0)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"id": "a", "tracked": True}, ["a"]),
        ({"id": "a"}, []),
        ({"id": "a", "tracked": False}, []),
        ({"more": {"id": "b"}, "id": "a", "tracked": True}, ["a"]),
        ({"id": 'a"b', "tracked": True}, ['a"b']),
        ({"argsrepr": '{"id": "b", "tracked": true}', "id": "a"}, []),
    ],
)
def test_which_jobs_are_recorded_is_read_from_the_headers_alone(headers, expected):
    text = json.dumps({"body": "e30=", "headers": headers, "properties": {"correlation_id": "c"}}).encode()
    assert queue_messages.tracked([text]) == expected
