"""Limits and fair turns, decided by the scripts alone: no worker runs here."""

import json
import time
import types

import pytest
from celery import current_app
from celery.worker import state

from jobroom import redis
from jobroom.celery import delayed, task_limits, turn_order
from jobroom.checks import limits_of_tasks
from jobroom.events import cancellation
from jobroom.locks.limit import Limit, limit_of
from jobroom.testing.tasks import made_task


def nothing() -> None:
    """Do nothing."""


class Message:
    """What a worker has received: of Jobroom's Redis, with the text that it popped."""

    def __init__(
        self, task: str, job: str, *args: object, person: str = "", queue: str = "default", eta: str | None = None
    ) -> None:
        self.headers = {"id": job, "task": task, "eta": eta, **({"person": person} if person else {})}
        self.delivery_info = {"routing_key": queue, "exchange": ""}
        self.payload: tuple[list[object], dict[str, object], dict[str, object]] = (list(args), {}, {})
        self.delivery_tag = f"tag of {job}"
        self.raw = json.dumps(
            {"headers": self.headers, "body": "x", "properties": {"delivery_tag": self.delivery_tag, "priority": 0}}
        )
        self.channel = self
        self.popped = (queue.encode(), self.raw.encode())
        self.acknowledged = False

    def ack(self) -> None:
        self.acknowledged = True


@pytest.fixture(autouse=True)
def _clean(settings, monkeypatch):
    settings.JOBROOM = settings.JOBROOM | {"FAIR_QUEUES": ["fair"]}
    redis.client().flushdb()
    monkeypatch.setattr(task_limits, "_limits", {})
    monkeypatch.setattr(task_limits, "_processes", lambda queue: 2)
    monkeypatch.setattr(task_limits, "_is_jobrooms", lambda app: True)


def starts(message: Message) -> bool:
    held = task_limits.hold_back(message, current_app)
    assert held == message.acknowledged
    return not held


def next_ones(queue: str = "default") -> list[str]:
    """Return the jobs in the list of a queue, that which is taken next first."""
    return [json.loads(raw)["headers"]["id"] for raw in reversed(redis.client().lrange(queue, 0, -1))]


def group(name: str) -> task_limits.Group:
    return next(one for one in task_limits.groups() if one.name == name)


def test_a_job_that_is_not_wanted_any_more_leaves_the_line():
    with made_task(nothing, name="scratch.limited", limit=1):
        assert starts(Message("scratch.limited", "a"))
        for job, person in (("b", "ada"), ("c", "ada"), ("d", "bob")):
            assert not starts(Message("scratch.limited", job, person=person))
        assert (group("scratch.limited").waiting, group("scratch.limited").people) == (3, 2)
        delayed.remove("c", "d", "unknown")
        assert (group("scratch.limited").waiting, group("scratch.limited").people) == (1, 1)
        assert task_limits.sentences(["c", "d"]) == {}
        task_limits.release(["a"])
        assert next_ones() == ["b"]
        delayed.remove("b")
        task_limits.release(["b"])
        assert task_limits.groups() == []


def test_what_a_limit_may_say():
    assert Limit(rate="120/m").per_second == 2
    for wrong in ({"most": -1}, {"most": True}, {"rate": "fast"}, {"rate": "0/s"}, {}):
        with pytest.raises(ValueError, match="limit"):
            Limit(**wrong)


def test_a_place_goes_from_who_ends_to_who_waits_and_is_kept_by_who_comes_again():
    with made_task(nothing, name="scratch.limited", limit=1):
        assert starts(Message("scratch.limited", "a"))
        assert starts(Message("scratch.limited", "a")), "its message came back"
        assert not starts(Message("scratch.limited", "b"))
        assert not starts(Message("scratch.limited", "c"))
        assert delayed.kept(["b", "c"]) == {"b", "c"}, "no one calls them lost"
        assert task_limits.sentences(["a", "b"]) == {"b": "limit reached: 1 of 1 running"}
        assert task_limits.release(["a"]) == 1
        assert next_ones() == ["b"]
        assert task_limits.release(["a"]) == 0, "twice is the same as once"
        assert next_ones() == ["b"]
        assert redis.client().rpop("default")
        assert starts(Message("scratch.limited", "b"))
        task_limits.release(["b", "c"])
        assert next_ones() == ["c"]
        task_limits.release(["c"])
        assert task_limits.groups() == []


@pytest.mark.parametrize("more", ["", '"tag of b"'])
def test_what_goes_back_to_its_queue_is_acknowledged_by_no_one_who_had_it_before(more):
    """The worker that put it aside acknowledges it a moment later, when another one may have it already."""
    with made_task(nothing, name="scratch.limited", limit=1):
        assert starts(Message("scratch.limited", "a"))
        waits = Message("scratch.limited", "b")
        waits.raw = waits.raw.replace('"x"', json.dumps(["x", json.loads(more)]) if more else '"x"')
        waits.popped = (b"default", waits.raw.encode())
        assert not starts(waits)
        task_limits.release(["a"])
        back = json.loads(redis.client().lindex("default", 0))
        before = json.loads(waits.raw)
        assert back["properties"].pop("delivery_tag") != before["properties"].pop("delivery_tag")
        assert back == before


def test_who_was_cancelled_meanwhile_is_passed_over():
    with made_task(nothing, name="scratch.limited", limit=1):
        for job in "abc":
            starts(Message("scratch.limited", job))
        delayed.remove("b")
        task_limits.release(["a"])
        assert next_ones() == ["c"]


def test_keys_count_alone_and_tasks_may_share_a_name():
    def work(customer):
        return customer

    with (
        made_task(work, name="scratch.one", limit=Limit(1, key="{customer}", name="licence")),
        made_task(work, name="scratch.two", limit=Limit(1, key=lambda customer: customer, name="licence")),
    ):
        assert starts(Message("scratch.one", "a", "acme"))
        assert not starts(Message("scratch.two", "b", "acme"))
        assert starts(Message("scratch.two", "c", "other"))
        assert task_limits.sentences(["b"]) == {"b": "limit reached: 1 of 1 running for key acme"}


def test_a_rate_reserves_a_moment_for_each():
    with made_task(nothing, name="scratch.rated", limit=Limit(rate="2/h")):
        assert [starts(Message("scratch.rated", str(number))) for number in range(4)] == [True, True, False, False]
        first, second = (redis.client().zscore(redis.key("later"), job) - time.time() for job in "23")
        assert 1750 < first < 1850
        assert 3550 < second < 3650
        assert starts(Message("scratch.rated", "2")), "its moment has come"
        assert not starts(Message("scratch.rated", "4")), "and no one else's"


def test_what_is_for_later_takes_no_place():
    with made_task(nothing, name="scratch.limited", limit=1):
        assert not starts(Message("scratch.limited", "a", eta="2099-01-01T00:00:00+00:00"))
        assert starts(Message("scratch.limited", "b"))
        assert not [one for one in task_limits.groups() if one.waiting]


def test_people_take_turns_and_each_keeps_their_order():
    client = redis.client()
    for number in range(6):
        client.lpush("fair", Message("demo.echo", f"ada{number}", person="1", queue="fair").raw)
    client.lpush("fair", Message("demo.echo", "grace", person="2", queue="fair").raw)
    client.lpush("fair", "no message at all")
    ran = []
    for _ in range(50):
        raw = client.rpop("fair")
        if raw is None or raw.startswith("no"):
            break
        headers = json.loads(raw)["headers"]
        message = Message("demo.echo", headers["id"], person=headers["person"], queue="fair")
        if starts(message):
            ran.append(headers["id"])
            task_limits.release([headers["id"]])
    assert [job for job in ran if job != "grace"] == [f"ada{number}" for number in range(6)]
    assert ran.index("grace") <= 3, ran
    assert task_limits.groups() == []


def taken() -> str:
    """Take the next message of the fair queue as a worker does, until one starts; return its job."""
    while True:
        headers = json.loads(str(redis.client().rpop("fair")))["headers"]
        if starts(Message("demo.echo", headers["id"], person=headers["person"], queue="fair")):
            return str(headers["id"])


def test_places_are_taken_in_the_order_in_which_they_were_given_though_a_cancelled_job_lies_in_front(monkeypatch):
    for job, person in (("a", "ada"), ("b", "bob"), ("a1", "ada"), ("b1", "bob"), ("mine", "cy")):
        redis.client().lpush("fair", Message("demo.echo", job, person=person, queue="fair").raw)
    assert taken() == "a"
    assert next_ones("fair") == ["b"]
    assert turn_order.let_be_next("mine", "fair") == "queue:fair"
    task_limits.release(["a"])
    assert next_ones("fair") == ["b", "mine"]
    task_limits.release(["b"])  # cancelled: its message stays where it is, until a worker takes it
    assert next_ones("fair") == ["b", "mine", "a1"]
    monkeypatch.setattr(state, "revoked", {"b"})
    assert redis.client().rpop("fair")
    assert starts(Message("demo.echo", "b", person="bob", queue="fair")), "Celery refuses it: it takes no turn"
    assert taken() == "mine"
    monkeypatch.setattr(cancellation, "is_wanted", lambda job: job == "b")
    assert not starts(Message("demo.echo", "b", person="bob", queue="fair")), (
        "it is wanted again, and waits as others do"
    )


def test_few_of_those_who_lost_their_place_are_remembered():
    """The recorder may give back a place sooner than the end of the run does: that is no reason to remember each for ever."""
    with made_task(nothing, name="scratch.limited", limit=2000):
        for number in range(1100):
            starts(Message("scratch.limited", f"j{number}"))
        task_limits.release([f"j{number}" for number in range(1100)])
    gone = redis.key("turn", "scratch.limited") + ":gone"
    assert redis.client().zcard(gone) == 1000
    assert redis.client().zscore(gone, "j1099")
    assert redis.client().ttl(gone) > 0


def test_while_redis_is_away_jobs_start(settings):
    with made_task(nothing, name="scratch.limited", limit=1):
        settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
        assert starts(Message("scratch.limited", "a"))


def test_a_limit_that_means_nothing_is_found_by_check():
    with made_task(nothing, name="scratch.wrong", limit=Limit(1, key="{nothing}")):
        assert [message.id for message in limits_of_tasks()] == ["jobroom.E006"]
        assert starts(Message("scratch.wrong", "a")), "and limits nothing"
    assert limits_of_tasks() == []


def test_a_plain_task_costs_nothing():
    with made_task(nothing, name="scratch.plain") as task:
        assert limit_of(task) is None
        assert not task_limits.is_limited(task, "default")


def test_a_turn_says_whose_is_before_and_a_job_can_be_let_be_next():
    with made_task(nothing, name="scratch.limited", limit=1):
        assert starts(Message("scratch.limited", "a"))
        for job, person in (("b", "ada"), ("c", "ada"), ("d", "ada"), ("e", "bob"), ("f", "cy")):
            assert not starts(Message("scratch.limited", job, person=person))
        assert turn_order.turn_of("a") is None
        turn = turn_order.turn_of("d")
        assert (turn.own, turn.others, turn.before) == (2, {"bob": 1, "cy": 1}, 4)
        assert turn_order.turn_of("f").others == {"ada": 1, "bob": 1}
        assert turn_order.let_be_next("unknown") is None
        assert turn_order.let_be_next("d") == "scratch.limited"
        assert turn_order.turn_of("d").before == 0
        task_limits.release(["a"])
        assert next_ones() == ["d"]


def test_the_turn_of_what_lies_in_the_list_of_a_fair_queue_is_known_before_a_worker_looks_at_it(monkeypatch):
    client, fair = redis.client(), {"queue": "fair"}
    assert starts(Message("demo.echo", "first", person="ada", **fair))
    for job, person in (("a1", "ada"), ("a2", "ada"), ("b1", "bob"), ("c1", "cy")):
        client.lpush("fair", Message("demo.echo", job, person=person, **fair).raw)
    client.lpush("fair", "no message at all")
    turn = turn_order.turn_of("c1", "fair")
    assert (turn.own, turn.others) == (0, {"ada": 1, "bob": 1})
    assert turn_order.turn_of("a2", "fair").others == {"bob": 1, "cy": 1}
    assert turn_order.turn_of("c1", "default") is None
    assert client.llen("fair") == 5, "to look changes nothing"
    monkeypatch.setattr(turn_order, "AT_ONCE", 2)
    assert turn_order.turn_of("c1", "fair").before == 2
    monkeypatch.setattr(task_limits, "AHEAD_BYTES", 1)
    assert turn_order.turn_of("c1", "fair") is None, "only what fits is looked at"
    monkeypatch.undo()
    assert turn_order.let_be_next("c1", "fair") == "queue:fair"
    assert turn_order.turn_of("c1", "fair") is None, "it has the place that was free"
    assert [turn_order.turn_of(job, "fair").before for job in ("a1", "b1")] == [0, 1]


def test_who_was_handed_a_place_is_not_asked_for_again(monkeypatch):
    """The script that takes the message from the list says which places its job has: no round trip more for each job."""
    asked = []
    monkeypatch.setattr(task_limits.redis, "evaluate", lambda *args: asked.append(args))
    monkeypatch.setattr(task_limits, "_is_counted", lambda queue: True)
    message = Message("demo.echo", "a", person="ada", queue="fair")
    monkeypatch.setattr(message, "take", types.SimpleNamespace(places="other\x1fqueue:fair"), raising=False)
    assert starts(message)
    assert not asked
    monkeypatch.setattr(task_limits, "_is_counted", lambda queue: False)
    task_limits.hold_back(message, current_app)
    assert len(asked) == 1, "the group hears how many processes there are"


def test_a_place_that_is_given_back_lets_those_have_a_turn_who_lie_in_the_list_still():
    """Who has a place is not asked for again, so it is the end of a run that looks ahead."""
    client = redis.client()
    assert starts(Message("demo.echo", "first", person="ada", queue="fair"))
    for job, person in (("a1", "ada"), ("a2", "ada"), ("a3", "ada"), ("b1", "bob")):
        client.lpush("fair", Message("demo.echo", job, person=person, queue="fair").raw)
    task_limits.release(["first"])
    assert next_ones("fair") == ["a1", "b1"], "as many as there are places"
    assert client.rpop("fair")
    task_limits.release(["a1"])
    assert next_ones("fair") == ["b1", "a2"], "behind those that have their turn"
