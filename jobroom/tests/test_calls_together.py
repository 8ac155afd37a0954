"""Debounce and batch: decided by scripts, with what a worker's process does beside them; no worker runs here."""

import json
from typing import Annotated, Any

import pytest
from annotated_types import Ge
from celery import current_app

from jobroom import redis
from jobroom.arguments import WrongArguments, schema_of
from jobroom.celery import batches, debounced, delayed, task_limits
from jobroom.checks import limits_of_tasks
from jobroom.locks.batch import Batch, batch_of, together
from jobroom.locks.debounce import Debounce, debounce_of
from jobroom.signals import jobs_recorded
from jobroom.testing import wait_until
from jobroom.testing.tasks import made_task
from jobroom.tests.test_task_limits import Message, next_ones


def save(document: int, note: str = "") -> int:
    """Save a document."""
    return document


def index(documents: list[int], languages: list[str] = ["en"]) -> list[str]:  # noqa: B006 — the default of one call
    """Put documents into the index."""
    return [f"{document} {language}" for document, language in zip(documents, languages, strict=True)]


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    redis.client().flushdb()
    monkeypatch.setattr(task_limits, "_limits", {})
    monkeypatch.setattr(task_limits, "_is_jobrooms", lambda app: True)


def starts(message: Message) -> bool:
    return not task_limits.hold_back(message, current_app)


def score(job: str) -> float:
    return float(redis.client().zscore(redis.key("later"), job) or 0)


def answer(job: str) -> dict[str, object]:
    found = batches.answer_of(job)
    assert found is not None
    return found


def test_what_a_debounce_and_a_batch_may_say():
    for wrong in ({"seconds": 0}, {"seconds": True}, {"seconds": 10, "at_most": 5}, {"seconds": 1e9}):
        with pytest.raises(ValueError, match="seconds"):
            Debounce(**wrong)
    for wrong in ({"most": 0}, {"most": True}, {"most": 10_000}, {"most": 3, "seconds": 0}):
        with pytest.raises(ValueError, match="batch"):
            Batch(**wrong)
    with made_task(save) as task:
        assert debounce_of(task) is None
        assert batch_of(task) is None


def test_of_several_calls_the_last_one_waits_and_the_others_go_on_to_be_skipped():
    with made_task(save, name="scratch.save", debounce=Debounce(30, key="{document}")):
        assert not starts(Message("scratch.save", "a", 1))
        assert not starts(Message("scratch.save", "b", 1))
        assert not starts(Message("scratch.save", "other", 2))
        assert not starts(Message("scratch.save", "c", 1))
        assert sorted(next_ones()) == ["a", "b"]
        assert delayed.kept(["a", "b", "c", "other"]) == {"c", "other"}
        assert [debounced.taken_over_by(job) for job in ("a", "b", "c")] == ["b", "c", ""]
        assert starts(Message("scratch.save", "a", 1)), "and learns that it is superseded"
        assert not starts(Message("scratch.save", "c", 1)), "its message came twice"
        said = task_limits.sentences(["a", "c"])
        assert set(said) == {"c"}
        assert "it waits for the last of several calls: it runs at" in said["c"]


def test_a_call_is_put_off_no_longer_than_at_most_after_the_first():
    with made_task(save, name="scratch.save", debounce=Debounce(30, at_most=40)):
        starts(Message("scratch.save", "a", 1))
        first = redis.key("debounce", "scratch.save")
        redis.client().hincrbyfloat(first, "first", -25)
        assert not starts(Message("scratch.save", "b", 1))
        state = redis.client().hgetall(first)
        assert float(state["due"]) - float(state["first"]) == pytest.approx(40), "25 of the 40 seconds are over"
        redis.client().hincrbyfloat(first, "first", -25)
        assert starts(Message("scratch.save", "c", 1)), "all of them are over"
        assert sorted(next_ones()) == ["a", "b"]
        assert debounced.taken_over_by("b") == "c"
        assert not starts(Message("scratch.save", "d", 1)), "the next one begins again"


def test_what_has_started_is_superseded_by_nothing():
    with made_task(save, name="scratch.save", debounce=30):
        starts(Message("scratch.save", "a", 1))
        redis.client().hset(redis.key("debounce", "scratch.save"), "due", 1)
        assert starts(Message("scratch.save", "a", 1)), "its time has come"
        assert not starts(Message("scratch.save", "b", 1))
        assert starts(Message("scratch.save", "a", 1)), "its worker was killed, and it comes back"
        assert debounced.taken_over_by("a") == ""
        assert delayed.kept(["b"]) == {"b"}


def test_a_call_that_was_cancelled_holds_up_no_other():
    with made_task(save, name="scratch.save", debounce=30):
        starts(Message("scratch.save", "a", 1))
        delayed.remove("a")
        assert task_limits.sentences(["a"]) == {}
        assert not starts(Message("scratch.save", "b", 1))
        assert next_ones() == []


def test_form_and_api_of_a_batch_ask_for_one_call():
    with made_task(index, batch=Batch(10)) as task:
        schema = schema_of(task)
        assert [(p.name, p.kind, p.default) for p in schema.parameters] == [
            ("documents", "integer", None),
            ("languages", "text", "en"),
        ]
        with pytest.raises(WrongArguments):
            schema.validate({"documents": "many"})
        assert task.run(7) == "7 en", "called as it is, it runs a batch of one"
        calls = [((7,), {}), ((), {"documents": 8, "languages": "de"})]
        assert together(task.run, calls, task.run) == ["7 en", "8 de"]
        assert task.run(7) == "7 en"


def test_hints_of_one_value_stay():
    def limited(numbers: list[Annotated[int, Ge(3)]]) -> None: ...

    with made_task(limited, batch=Batch(10)) as task, pytest.raises(WrongArguments):
        schema_of(task).validate({"numbers": 2})


def test_an_argument_that_is_no_list_is_refused_where_it_is_written():
    with pytest.raises(TypeError, match="give document a hint"), made_task(save, batch=Batch(10)):
        pass


def test_the_call_that_fills_a_batch_runs_it_and_the_others_get_their_answers():
    with made_task(index, name="scratch.index", batch=Batch(3, seconds=60)):
        assert not starts(Message("scratch.index", "a", 1))
        assert not starts(Message("scratch.index", "b", 2, "de"))
        assert task_limits.sentences(["a", "b"]) == dict.fromkeys("ab", "it waits for its batch, with 1 other")
        assert starts(Message("scratch.index", "c", 3))
        assert starts(Message("scratch.index", "c", 3)), "its message came back"
        assert task_limits.sentences(["a"]) == {"a": "its batch is run by job c, and it ends with it"}
        jobs, calls = batches._calls_of("c")
        assert jobs == ["c", "a", "b"]
        assert [json.loads(call)[0] for call in calls] == [[1], [2, "de"]]
        assert not starts(Message("scratch.index", "a", 1)), "it came twice, and is in the batch already"
        batches._hand_out("c", [batches._answer("c", "succeeded", value, False) for value in ("first", "second")])
        assert next_ones() == ["a", "b"]
        assert (answer("a")["value"], answer("b")["value"]) == ('"first"', '"second"')
        assert starts(Message("scratch.index", "a", 1))
        assert not redis.client().exists(
            redis.key("batch", "calls"), redis.key("batch", "of"), redis.key("batch", "waits")
        )


def test_a_batch_begins_when_the_time_of_its_first_call_has_come():
    with made_task(index, name="scratch.index", batch=Batch(10, seconds=60)):
        starts(Message("scratch.index", "a", 1))
        starts(Message("scratch.index", "b", 2))
        assert score("a") < delayed.PARKED < score("b"), "only the first one is sent at that time"
        redis.client().hset(redis.key("batch", "scratch.index"), "due", 1)
        assert starts(Message("scratch.index", "a", 1))
        assert batches._calls_of("a")[0] == ["a", "b"]


def test_when_the_first_call_is_cancelled_the_next_one_begins_in_its_place():
    with made_task(index, name="scratch.index", batch=Batch(10, seconds=60)):
        for number, job in enumerate("abc"):
            starts(Message("scratch.index", job, number))
        delayed.remove("a")
        batches.begin_overdue()
        assert next_ones() == [], "its time has not come"
        redis.client().hset(redis.key("batch", "scratch.index"), "due", 1)
        batches.begin_overdue()
        assert next_ones() == ["b"]
        assert starts(Message("scratch.index", "b", 1))
        assert batches._calls_of("b")[0] == ["b", "c"]


def test_what_is_left_over_waits_for_a_time_of_its_own():
    with made_task(index, name="scratch.index", batch=Batch(2, seconds=60)):
        starts(Message("scratch.index", "a", 1))
        redis.client().rpush(redis.key("batch", "scratch.index", "line"), "x", "y")
        assert starts(Message("scratch.index", "b", 2))
        assert batches._calls_of("b")[0] == ["b", "a"]
        assert redis.client().hget(redis.key("batch", "scratch.index"), "first") == "x"


@pytest.mark.parametrize("state", ["failed", "lost", "cancelled"])
def test_who_runs_a_batch_ends_the_others_as_itself(state):
    with made_task(index, name="scratch.index", batch=Batch(2, seconds=60)):
        starts(Message("scratch.index", "a", 1))
        starts(Message("scratch.index", "b", 2))
        batches.end_with([("b", "succeeded"), ("nobody", "failed")])
        assert next_ones() == [], "it hands its answers out itself"
        batches.end_with([("b", state)])
        assert next_ones() == ["a"]
        assert (answer("a")["state"], answer("a")["by"]) == (state, "b")


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["lost", "cancelled", "failed"])
def test_who_ends_before_it_began_leaves_the_others_to_the_next_batch(state):
    """Its worker was killed between taking and starting it, or a person did not want that one call any more."""
    with made_task(index, name="scratch.index", batch=Batch(2, seconds=60)):
        starts(Message("scratch.index", "a", 1))
        assert starts(Message("scratch.index", "b", 2))
        jobs_recorded.send(sender=None, job_ids=["b"], ended=[("b", "scratch.index", state)])
        assert next_ones() == ["a"]
        assert batches.answer_of("a") is None
        assert not starts(Message("scratch.index", "a", 1)), "it waits again"
        assert starts(Message("scratch.index", "c", 3))
        assert batches._calls_of("c")[0] == ["c", "a"]


def claimed() -> list[str]:
    """Claim what is due, as the process that sends it does before it sends; return what it has then."""
    values = [redis.now() + 1, redis.now() + delayed.LEASE, delayed.CHUNK]
    found: Any = redis.script(delayed._CLAIM)(delayed._keys(), values, client=redis.client())
    return list(found)


def send(job: str, text: str) -> None:
    message = json.loads(text)
    values = [job, text, message["list"], message["raw"]]
    redis.script(delayed._MOVE)(delayed._keys(), values, client=redis.client())


@pytest.mark.parametrize("sent", ["before", "after", "never"])
def test_a_call_that_is_claimed_to_be_sent_is_neither_lost_nor_twice_in_a_batch(sent):
    """Its time has come, one process claims it, and meanwhile another call fills the batch; the process may die in between."""
    with made_task(index, name="scratch.index", batch=Batch(2, seconds=60)):
        starts(Message("scratch.index", "a", 1))
        redis.client().zadd(redis.key("later"), {"a": 1})
        job, text = claimed()
        assert job == "a"
        if sent == "before":
            send(job, text)
        assert starts(Message("scratch.index", "b", 2))
        jobs, _ = batches._calls_of("b")
        if sent == "before":  # it is on its way to a worker
            assert (jobs, next_ones()) == (["b"], ["a"])
            assert not starts(Message("scratch.index", "a", 1))
            assert (batches.answer_of("a"), delayed.kept(["a"])) == (None, {"a"})
            return
        assert jobs == ["b", "a"]
        if sent == "after":
            send(job, text)
            assert next_ones() == ["a"]
            assert not starts(Message("scratch.index", "a", 1)), "it is in the batch already"
        batches._hand_out("b", [batches._answer("b", "succeeded", "first", False)])
        assert next_ones()[-1:] == ["a"]
        assert delayed.kept(["a"]) == set()
        send(job, text)
        assert next_ones().count("a") == 1 + (sent == "after"), "what was claimed before is not sent any more"
        assert starts(Message("scratch.index", "a", 1))
        assert answer("a")["by"] == "b"


def test_a_call_whose_worker_dies_before_it_acknowledges_it_is_once_in_its_batch():
    """It is kept already, and its message comes back: to any of the workers that take from the queue."""
    with made_task(index, name="scratch.index", batch=Batch(3, seconds=60)):
        for job in ("a", "a", "b"):
            assert not starts(Message("scratch.index", job, 1))
        assert starts(Message("scratch.index", "c", 3))
        assert not starts(Message("scratch.index", "b", 1))
        assert batches._calls_of("c")[0] == ["c", "a", "b"]
        batches._hand_out("c", [batches._answer("c", "succeeded", value, False) for value in ("first", "second")])
        assert sorted(next_ones()) == ["a", "b"]


def test_while_redis_is_away_the_calls_start_alone(settings):
    with made_task(index, name="scratch.index", batch=Batch(2)):
        settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
        assert starts(Message("scratch.index", "a", 1))


def test_what_cannot_be_kept_is_found_by_check():
    with made_task(save, name="scratch.wrong", debounce=Debounce(1, key="{nothing}")):
        assert [message.id for message in limits_of_tasks()] == ["jobroom.E006"]
        assert starts(Message("scratch.wrong", "a", 1)), "and changes nothing"
    with made_task(index, name="scratch.both", batch=Batch(3), debounce=3):
        assert "not both" in limits_of_tasks()[0].msg


def test_a_new_life_of_a_job_is_a_new_call():
    with made_task(save, name="scratch.save", debounce=30) as task:
        starts(Message("scratch.save", "a", 1))
        starts(Message("scratch.save", "b", 1))
        assert debounced.taken_over_by("a") == "b"
        task.apply_async((1,), task_id="a", queue="nowhere")
        wait_until(lambda: not debounced.taken_over_by("a"), 10, "the old decision is forgotten")


def test_an_attribute_that_a_task_has_for_itself_stays_its_own():
    with made_task(save, name="scratch.own", batch=500, debounce=save) as task:
        assert schema_of(task).parameters[0].name == "document"
        assert starts(Message("scratch.own", "a", 1))
        assert [message.id for message in limits_of_tasks()] == ["jobroom.W006"]
