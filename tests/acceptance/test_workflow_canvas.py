"""One table of canvases, each run by Celery itself and by the engine: same results, same tasks, same errbacks."""

import contextlib
import dataclasses
import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import chain, chord, chunks, group
from celery.result import AsyncResult, GroupResult
from django.core.management import call_command
from django.db import connection

from jobroom import events, redis
from jobroom.events import consumer, heartbeat
from jobroom.jobs.models import FINISHED, Job
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running
from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.models import FINISHED as OVER
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.workflows import Workflow
from tests.acceptance import canvas_tasks as tasks

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.xdist_group("canvas"),
    pytest.mark.django_db,
    pytest.mark.timeout(600),
]

SLOW = 60.0


class Signatures:
    """Makes signatures of the sample tasks that leave their trace under one run: `t.add(1, 2)`, `t.add.si(1, 2)`."""

    def __init__(self, run: str) -> None:
        self.run = run

    def __getattr__(self, name: str) -> "Maker":
        return Maker(getattr(tasks, name), self.run)


@dataclasses.dataclass
class Maker:
    """Makes signatures of one task."""

    task: Any
    run: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.task.s(*args, run=self.run, **kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Any:
        return self.task.si(*args, run=self.run, **kwargs)


@dataclasses.dataclass(frozen=True)
class Row:
    """One canvas. `args` are those of `apply_async`; `ordered`: its tasks begin in one order alone."""

    name: str
    build: Callable[[Any], Any]
    args: tuple[Any, ...] = ()
    ordered: bool = False
    differs: str = ""  # where the engine does something else on purpose: what, and why
    ours: Any = None  # (result, trace) of the engine in that case


@dataclasses.dataclass
class Outcome:
    """What came of a run."""

    failed: bool
    value: Any
    trace: list[Any] = dataclasses.field(default_factory=list)


def row(name: str, build: Callable[[Any], Any], *args: Any, **options: Any) -> Row:
    """Return a row of the table."""
    return Row(name, build, args, **options)


def linking(signature: Any, link: Any = None, error: Any = None) -> Any:
    """Return the signature with a callback, an errback, or both."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if link is not None:
            signature.link(link)
        if error is not None:
            signature.link_error(error)
    return signature


TABLE = [
    # single signatures
    row("signature", lambda t: t.add(1, 2)),
    row("immutable signature", lambda t: t.add.si(1, 2)),
    row("signature with partial arguments", lambda t: t.add(1), 2),
    row("signature with keyword arguments", lambda t: t.echo(1, a=2, b=[3])),
    row("signature that returns None", lambda t: t.give()),
    row("signature that returns an object", lambda t: t.give({"a": [1, {"b": None}]})),
    row("signature with text of all kinds", lambda t: t.give("ä \\u0001 \" \\ \n \u2028 \U0001f600")),
    row("failing signature", lambda t: t.fail(1)),
    # chains
    row("chain", lambda t: chain(t.add(4, 5), t.add(6), t.mul(7)), ordered=True),
    row("chain by pipes", lambda t: t.add(4, 5) | t.add(6) | t.mul(7), ordered=True),
    row("chain of one", lambda t: chain(t.add(1, 1)), ordered=True),
    row("chain with an immutable step", lambda t: chain(t.add(1, 1), t.give.si(7), t.add(1)), ordered=True),
    row("chain with partial arguments", lambda t: chain(t.add(1), t.mul(10)), 4, ordered=True),
    row("chain with keyword arguments", lambda t: chain(t.echo(a=1), t.echo(b=2)), 3, ordered=True),
    row("chain of chains", lambda t: chain(chain(t.add(1, 1), t.add(2)), chain(t.mul(3), t.add(4))), ordered=True),
    row("chain through objects", lambda t: chain(t.give({"a": 1}), t.echo(x=1), t.give()), ordered=True),
    row("chain through None", lambda t: chain(t.give(), t.echo()), ordered=True),
    row("chain of fifty", lambda t: chain(t.add(0), *(t.add(1) for _ in range(49))), 0, ordered=True),
    # groups
    row("group", lambda t: group(t.add(1, 1), t.add(2, 2), t.add(3, 3))),
    row("group in order, whatever ends first", lambda t: group(t.slow(1), t.give(2), t.slow(3), t.give(4))),
    row("group of one", lambda t: group(t.add(1, 1))),
    row("group with partial arguments", lambda t: group(t.add(1), t.add(2)), 10),
    row("group of groups", lambda t: group(group(t.add(1, 1), t.add(2, 2)), group(t.add(3, 3), t.add(4, 4)))),
    row("group of chains", lambda t: group(chain(t.add(1, 1), t.mul(2)), chain(t.add(2, 2), t.mul(3)))),
    row("group from a generator", lambda t: group(t.mul(i, i) for i in range(5))),
    row("group of one group", lambda t: group(group(t.add(1, 1), t.add(2, 2)))),
    row("empty group", lambda t: group([])),
    # groups in chains
    row("group, then task", lambda t: chain(group(t.add(1, 1), t.add(2, 2)), t.total())),
    row("task, then group", lambda t: chain(t.add(1, 1), group(t.add(10), t.mul(10)))),
    row("task, group, task", lambda t: chain(t.add(1, 1), group(t.add(10), t.mul(10)), t.total())),
    row("group | group", lambda t: group(t.add(1, 1), t.add(2, 2)) | group(t.total(), t.total(100))),
    row("group | group | task", lambda t: group(t.add(1, 1), t.add(2, 2)) | group(t.total(), t.total(9)) | t.total()),
    row("group, then immutable task", lambda t: chain(group(t.add(1, 1), t.add(2, 2)), t.give.si(5))),
    row("group of one in a chain", lambda t: chain(t.add(1, 1), group(t.add(5)), t.mul(2)), ordered=True),
    row("group of one at the end of a chain", lambda t: chain(t.add(1, 1), group(t.add(5))), ordered=True),
    row("group of one at the head of a chain", lambda t: chain(group(t.add(1, 1)), t.mul(5)), ordered=True),
    row("empty group at the head of a chain", lambda t: chain(group([]), t.add(1, 1), t.add(1))),
    row("empty group in a chain", lambda t: chain(t.add(1, 1), group([]), t.add(1))),
    row("empty group at the end of a chain", lambda t: chain(t.add(1, 1), t.add(1), group([]))),
    row("group of chains, then task", lambda t: chain(group(t.add(1, 1) | t.mul(2), t.add(2, 2) | t.mul(3)), t.total())),
    row("partial arguments for chain and group", lambda t: chain(group(t.add(1), t.add(2)), t.total()), 10),
    # chords
    row("chord", lambda t: chord([t.add(i, i) for i in range(4)], t.total())),
    row("chord with arguments of its body", lambda t: chord([t.add(1, 1), t.add(2, 2)], t.total(5))),
    row("chord with an immutable body", lambda t: chord([t.add(1, 1), t.add(2, 2)], t.give.si(7))),
    row("chord of one", lambda t: chord([t.add(3, 4)], t.total())),
    row("chord without a header", lambda t: chord([], t.total())),
    row("chord with partial arguments", lambda t: chord([t.add(1), t.add(2)], t.total()), 10),
    row("chord in a chain", lambda t: chain(t.add(1, 1), chord([t.add(1), t.mul(3)], t.total()), t.mul(10))),
    row("chord of chains", lambda t: chord([t.add(1, 1) | t.mul(2), t.add(2, 2) | t.mul(3)], t.total())),
    row("chord in a chord's header", lambda t: chord([chord([t.add(1, 1), t.add(2, 2)], t.total()), t.give(3)], t.total())),
    row("chord in a chord's body", lambda t: chord([t.give(1), t.give(2)], chord([t.total(1), t.total(2)], t.total()))),
    row("chord with a chain as body", lambda t: chord([t.give(1), t.give(2)], t.total() | t.mul(2))),
    row("chord with a group as body", lambda t: chord([t.give(1), t.give(2)], group(t.total(1), t.total(2)))),
    row("chord, then chord", lambda t: chord([t.give(1), t.give(2)], t.total()) | chord([t.add(1), t.add(2)], t.total())),
    row(
        "group in a chord's header",
        lambda t: chord([group(t.give(1), t.give(2)), t.give(3)], t.echo()),
        differs="Celery passes the members of an inner group in reverse order; here the order is as written.",
        ours=({"args": [[1, 2, 3]], "kwargs": {}}, ["give", "give", "give", "echo"]),
    ),
    row("group of chords", lambda t: group(*(chord([t.give(i), t.give(1)], t.total()) for i in range(3)))),
    row("slow chord", lambda t: chord([t.slow(2), t.give(1)], t.total())),
    row("chord of chains with a group inside", lambda t: chord([t.add(1, 1) | group(t.add(1), t.add(2)), t.give(3)], t.total())),
    # map, starmap, chunks
    row("map", lambda t: tasks.pair.map([1, 2, 3])),
    row("starmap", lambda t: tasks.power.starmap([(2, 2), (2, 3)])),
    row("chunks", lambda t: tasks.power.chunks([(i, 2) for i in range(7)], 3)),
    row("chunks as a group", lambda t: tasks.power.chunks([(i, 2) for i in range(7)], 3).group()),
    row("map, then task", lambda t: chain(tasks.pair.map([1, 2]), t.give())),
    row("chunks, then task", lambda t: chain(tasks.power.chunks([(i, 2) for i in range(4)], 2).group(), t.total())),
    # callbacks
    row("link", lambda t: linking(t.add(1, 1), t.linked())),
    row("two links", lambda t: linking(linking(t.add(1, 1), t.linked(mark="a")), t.linked(mark="b"))),
    row("link on a chain", lambda t: linking(chain(t.add(1, 1), t.add(2)), t.linked())),
    row("link on a group", lambda t: linking(group(t.add(1, 1), t.add(2, 2)), t.linked())),
    row("link on a chord", lambda t: linking(chord([t.add(1, 1), t.add(2, 2)], t.total()), t.linked())),
    row("link on a step of a chain", lambda t: chain(linking(t.add(1, 1), t.linked()), t.add(2))),
    row("link in a group's member", lambda t: group(linking(t.add(1, 1), t.linked()), t.add(2, 2))),
    row("link of a chain", lambda t: linking(t.add(1, 1), chain(t.add(1, mark="l"), t.linked()))),
    # failures
    row("first of a chain fails", lambda t: chain(t.fail(), t.add(1), t.add(2)), ordered=True),
    row("middle of a chain fails", lambda t: chain(t.add(1, 1), t.fail(), t.add(2)), ordered=True),
    row("last of a chain fails", lambda t: chain(t.add(1, 1), t.add(2), t.fail()), ordered=True),
    row("member of a group fails", lambda t: group(t.add(1, 1), t.fail(), t.add(2, 2))),
    row("member of a chord's header fails", lambda t: chord([t.add(1, 1), t.fail()], t.total())),
    row("body of a chord fails", lambda t: chord([t.add(1, 1), t.add(2, 2)], t.fail())),
    row("chain in a header fails early", lambda t: chord([t.fail() | t.add(1), t.give(2)], t.total())),
    row("chord in a chain fails", lambda t: chain(t.give(1), chord([t.add(1), t.fail()], t.total()), t.add(1))),
    row("wrong arguments", lambda t: chain(t.add(1, 1), t.mul(2, 3)), ordered=True),
    # errbacks
    row("errback of a task that fails", lambda t: linking(t.fail(), error=t.errback())),
    row("old errback of a task that fails", lambda t: linking(t.fail(), error=t.old_errback())),
    row("immutable errback", lambda t: linking(t.fail(), error=t.plain_errback.si())),
    row("errback of a task that succeeds", lambda t: linking(t.add(1, 1), error=t.errback())),
    row("two errbacks", lambda t: linking(linking(t.fail(), error=t.errback(mark="a")), error=t.errback(mark="b"))),
    row("errback of a step", lambda t: chain(t.add(1, 1), linking(t.fail(), error=t.errback()), t.add(1))),
    row("errback of a chain, first fails", lambda t: linking(chain(t.fail(), t.add(1)), error=t.errback())),
    row("errback of a chain, last fails", lambda t: linking(chain(t.add(1, 1), t.fail()), error=t.errback())),
    row("errback of a group, one fails", lambda t: linking(group(t.add(1, 1), t.fail()), error=t.errback())),
    row("errback of a group, two fail", lambda t: linking(group(t.fail(), t.fail()), error=t.errback())),
    row("errback of a chord, header fails", lambda t: linking(chord([t.add(1, 1), t.fail()], t.total()), error=t.errback())),
    row("errback of a chord, body fails", lambda t: linking(chord([t.add(1, 1), t.add(1, 1)], t.fail()), error=t.errback())),
    row("errback of a body, header fails", lambda t: chord([t.add(1, 1), t.fail()], linking(t.total(), error=t.errback()))),
    row("errback of a header's member", lambda t: chord([t.add(1, 1), linking(t.fail(), error=t.errback())], t.total())),
    row("errback of a group that a chain follows", lambda t: linking(group(t.fail(), t.give(1)) | t.total() | t.add(1), error=t.errback())),
    row("errback of a chain that begins with a group", lambda t: linking(chain(group(t.fail(), t.give(1)), t.total(), t.add(1)), error=t.errback())),
    row("errbacks of a body that is a group", lambda t: chord([t.fail()], group(linking(t.total(), error=t.errback(mark="a")), linking(t.total(), error=t.errback(mark="b"))))),
    row("errback of a chord whose body is a group", lambda t: linking(chord([t.fail(), t.give(1)], group(t.total(), t.total())), error=t.errback())),
    row("errback of a body after a chain that fails before", lambda t: chain(t.fail(), chord([t.add(1), t.add(2)], linking(t.total(), error=t.errback())))),
    row("errback of a body, a header's chain fails early", lambda t: chord([t.fail() | t.add(1), t.give(2)], linking(t.total(), error=t.errback()))),
    row("errback of a body that is a chain", lambda t: chord([t.fail(), t.give(2)], linking(t.total() | t.add(1), error=t.errback()))),
    row("errback of a body's first step", lambda t: chord([t.fail(), t.give(2)], linking(t.total(), error=t.errback()) | t.add(1))),
    row("errback of a body's last step", lambda t: chord([t.fail(), t.give(2)], t.total() | linking(t.add(1), error=t.errback()))),
    row("errback of a chord in a chain", lambda t: linking(chain(t.give(1), chord([t.add(1), t.fail()], t.total()), t.add(1)), error=t.errback())),
    row("errback of a chord with a body that is a chord", lambda t: linking(chord([t.fail(), t.give(1)], chord([t.total(), t.total()], t.total())), error=t.errback())),
    row("errbacks of two groups after a chord, the first fails and chords follow", lambda t: linking(chain(chord([t.give.si(1), t.give.si(2)], t.echo()), group(t.fail(), t.give.si(1)), group(linking(t.give.si(1), error=t.errback(mark="a")), t.give.si(1)), chord([t.give.si(1), t.give.si(2)], t.echo()), chord([t.give.si(1), t.give.si(2)], t.echo())), error=t.errback(mark="b"))),
    row("errbacks of three groups after a task, the second fails", lambda t: chain(t.give.si(1), group(t.give.si(1), t.give.si(2)), group(t.fail(), t.give.si(2)), group(linking(t.give.si(1), error=t.errback(mark="a")), linking(t.give.si(2), error=t.errback(mark="b"))))),
    row("link and errback", lambda t: linking(t.fail(), t.linked(), t.errback())),
    # self.replace
    row("replaced by a task", lambda t: chain(t.give(3), t.replaced("task"), t.mul(2))),
    row("replaced by a chain", lambda t: chain(t.give(3), t.replaced("chain"), t.mul(2))),
    row("replaced by a group", lambda t: chain(t.give(3), t.replaced("group"), t.total())),
    row("replaced by a chord", lambda t: chain(t.give(3), t.replaced("chord"), t.mul(2))),
    row("replaced by what fails", lambda t: chain(t.give(3), t.replaced("failing"), t.mul(2))),
    row("replaced in a chord's header", lambda t: chord([t.replaced(1, "task"), t.replaced(2, "chain"), t.give(1)], t.total())),
    row("replaced at the end", lambda t: chain(t.give(3), t.replaced("task"))),
    row("replaced alone", lambda t: t.replaced(3, "chord")),
    # options
    row("queue", lambda t: t.options().set(queue="second")),
    row("priority", lambda t: t.options().set(priority=7)),
    row("countdown", lambda t: t.options().set(countdown=0.5)),
    row("expires", lambda t: t.options().set(expires=600)),
    row("time limits", lambda t: t.options().set(time_limit=90, soft_time_limit=80)),
    row("options in a chain", lambda t: chain(t.give(1), t.options().set(queue="second", priority=3), t.give())),
    row("options in a group", lambda t: group(t.options().set(priority=3), t.options().set(queue="second"))),
    row("id given before", lambda t: t.same_id(f"id-{t.run}").set(task_id=f"id-{t.run}")),
    row("id given before, in a chain", lambda t: chain(t.give(1), t.same_id.si(f"in-{t.run}").set(task_id=f"in-{t.run}"))),
    row("id given before, in a chord", lambda t: chord([t.give(1), t.give(2)], t.same_id.si(f"b-{t.run}").set(task_id=f"b-{t.run}"))),
]  # fmt: skip


def plain(result: Any) -> Any:
    """Return what a result of Celery is in the end; groups are lists."""
    if isinstance(result, GroupResult):
        return [plain(child) for child in result.results or ()]
    return result.get(timeout=SLOW, disable_sync_subtasks=False)


def by_celery(canvas: Any, args: tuple[Any, ...]) -> Callable[[], Any]:
    """Send the canvas as Celery does; return what waits for its result."""
    result = canvas(*args) if isinstance(canvas, chunks) else canvas.apply_async(args)
    return lambda: plain(result)


def by_engine(canvas: Any, args: tuple[Any, ...]) -> Callable[[], Any]:
    """Run the canvas as a workflow; return what waits for its result."""
    workflow = Workflow(name="canvas")
    workflow.add_celery_canvas(canvas, args=args)
    result: AsyncResult[Any] = workflow.apply_async()
    return lambda: result.get(timeout=SLOW)


def send(build: Callable[[], Any], run: Callable[[Any, tuple[Any, ...]], Callable[[], Any]], args: Any) -> Any:
    """Send a canvas; return what waits for it, also when it cannot be sent."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run(build(), args)
    except Exception as error:  # noqa: BLE001 — it is compared
        return _raising(error)


def _raising(error: Exception) -> Callable[[], Any]:
    def wait() -> Any:
        raise error

    return wait


def outcome(wait: Callable[[], Any]) -> Outcome:
    """Wait for a run."""
    try:
        return Outcome(failed=False, value=wait())
    except Exception as error:  # noqa: BLE001 — it is compared
        return Outcome(failed=True, value=error)


def is_quiet() -> bool:
    """Return whether nothing waits and nothing runs, and the history, which has read all that there is, knows of nothing that will."""
    client = redis.client()
    waiting = sum(client.llen(name) for name in client.keys("default*") + client.keys("second*"))
    if waiting or client.hlen("unacked") or client.keys(redis.key("running", "*")) or consumer.lag().entries:
        return False
    unfinished = StoredWorkflow.objects.exclude(state__in=OVER).exists()
    return not unfinished and not Job.objects.exclude(state__in=FINISHED).exists()


def wait_for_silence() -> None:
    """Wait until everything that was sent has run: errbacks and the bodies of chords come after the result, and after the end of a job.

    A process may stand still at any line, so what sends them has ended when its worker says later that it holds no job, and
    nothing has been reported since.
    """
    quiet: tuple[float, str] | None = None  # since when, and the last event by then

    def silent() -> bool:
        nonlocal quiet
        information: Any = redis.client().xinfo_stream(events.stream())
        last = str(information["last-generated-id"])
        if not is_quiet():
            quiet = None
        elif quiet is None or quiet[1] != last:
            quiet = redis.now(), last
        else:
            said = heartbeat.workers()
            return bool(said) and all(worker.seen > quiet[0] and not worker.held for worker in said)
        return False

    wait_until(silent, SLOW, "everything that was sent has run")


def trace(run: str) -> list[Any]:
    """Return what began in a run, in order."""
    rows: Any = redis.client().lrange(tasks.trace_key(run), 0, -1)
    return [json.loads(text) for text in rows]


@contextlib.contextmanager
def process_group() -> Iterator[None]:
    """Run one worker and one recorder."""
    redis.client().flushdb()
    try:
        with running(Worker(app="tests.acceptance.canvas_tasks", queues="default,second"), Recorder()):
            yield
    finally:
        # What processes have written is in no test's transaction, and not all of it is this module's business.
        call_command("flush", verbosity=0, interactive=False)
        redis.client().flushdb()


@pytest.fixture(scope="module")
def outcomes(django_db_setup, django_db_blocker):
    """Run the whole table, all canvases at once, by Celery and by the engine."""
    ways = {"celery": by_celery, "engine": by_engine}
    found: dict[tuple[str, str], Outcome] = {}
    with django_db_blocker.unblock():
        with process_group():
            waiting = {
                (way, r.name): send(lambda r=r, way=way: r.build(Signatures(f"{way}:{r.name}")), run, r.args)
                for r in TABLE
                for way, run in ways.items()
            }
            found = {key: outcome(wait) for key, wait in waiting.items()}
            wait_for_silence()
            for way, name in found:
                found[way, name].trace = trace(f"{way}:{name}")
        connection.close()
    return found


def comparable(trace: list[Any], *, ordered: bool) -> list[str]:
    """Return a trace in the form in which two are equal: runs of groups have no order among themselves."""
    texts = [json.dumps(entry, sort_keys=True).replace("engine:", "celery:") for entry in trace]
    return texts if ordered else sorted(texts)


def test_the_table_is_long_enough():
    assert len(TABLE) >= 60
    assert len({r.name for r in TABLE}) == len(TABLE)


@pytest.mark.parametrize("r", [r for r in TABLE if not r.differs], ids=lambda r: r.name)
def test_the_engine_does_what_celery_does(outcomes, r):
    theirs, ours = outcomes["celery", r.name], outcomes["engine", r.name]
    assert (ours.failed, None if ours.failed else ours.value) == (
        theirs.failed,
        None if theirs.failed else theirs.value,
    )
    assert comparable(ours.trace, ordered=r.ordered) == comparable(theirs.trace, ordered=r.ordered)
    if ours.failed:
        assert isinstance(ours.value, WorkflowException)


@pytest.mark.parametrize("r", [r for r in TABLE if r.differs], ids=lambda r: r.name)
def test_the_engine_differs_on_purpose(outcomes, r):
    theirs, ours = outcomes["celery", r.name], outcomes["engine", r.name]
    value, begun = r.ours
    assert ours.failed == (value is WorkflowException)
    if not ours.failed:
        assert ours.value == value
    assert sorted(entry[0] for entry in ours.trace) == sorted(begun)
    same_value = (ours.failed, ours.failed or ours.value) == (theirs.failed, theirs.failed or theirs.value)
    assert not (same_value and comparable(ours.trace, ordered=False) == comparable(theirs.trace, ordered=False)), (
        "Celery does the same now: take the difference out of the table and the documentation"
    )
