"""Any graph, in any order, whatever is said twice or forgotten: the engine ends where a simple interpreter ends."""

import dataclasses
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from jobroom import redis
from jobroom.testing.tiers import cases
from jobroom.workflows import services
from jobroom.workflows.engine import loader
from jobroom.workflows.engine.keys import ENDED
from jobroom.workflows.graph import Graph, When
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.tests.hand import REPEATED, Hand, Run, new_workflow, signature
from jobroom.workflows.workflows import Workflow

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(240), pytest.mark.long]

quick = settings(
    max_examples=cases(8, 20),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


@dataclasses.dataclass(frozen=True)
class Story:
    """A graph, how each of its nodes ends, and a seed for everything else."""

    parents: tuple[tuple[tuple[int, str], ...], ...]  # of each node: those it waits for, and on what condition
    joins: tuple[str, ...]
    good: tuple[bool, ...]
    handlers: tuple[bool, bool]
    lenient: bool
    seed: int

    def workflow(self) -> Workflow:
        """Write it."""
        found = new_workflow(handled_failures="success" if self.lenient else "failure")
        nodes: list[Any] = []
        for index, (parents, join) in enumerate(zip(self.parents, self.joins, strict=True)):
            always_there = [nodes[p] for p, when in parents if when == "success" and join == "all"]
            # It is given the results of those that must have succeeded before it.
            node = found.add_signature(signature("hand.task", *(p.result for p in always_there)), key=f"n{index}")
            node.node.parents.clear()
            for parent, when in parents:
                node.add_dependency(nodes[parent], {"when": when})
            nodes.append(node.set(join=join))
        if self.handlers[0]:
            found.on_failure(signature("hand.failed"))
        if self.handlers[1]:
            found.finalizer(signature("hand.final"))
        return found


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Return any story of up to nine nodes."""
    count = draw(st.integers(1, 9))
    when = st.sampled_from(["success", "success", "success", "failure", "always"])
    parents = []
    for index in range(count):
        chosen = draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
        parents.append(tuple((parent, draw(when)) for parent in sorted(chosen)))
    return Story(
        tuple(parents),
        tuple(draw(st.sampled_from(["all", "all", "any"])) for _ in range(count)),
        tuple(draw(st.booleans()) or draw(st.booleans()) for _ in range(count)),
        (draw(st.booleans()), draw(st.booleans())),
        draw(st.booleans()),
        draw(st.integers(0, 2**32 - 1)),
    )


def expected(graph: Graph, good: tuple[bool, ...]) -> tuple[str, str]:
    """Return state and states in the end: what a reader of the documentation would work out with a pencil."""
    node_states: dict[int, str] = {}
    failed = False
    children = graph.children()
    for index, node in enumerate(graph.nodes):
        if index in graph.handlers:
            continue
        true = [_comes_true(when, node_states[parent]) for parent, when in node.parents]
        goes = not true or (any(true) if node.join == "any" else all(true))
        node_states[index] = ("s" if good[index] else "f") if goes else "b"
        dealt_with = graph.lenient and any(when != When.SUCCESS for _, when in children[index])
        failed = failed or (node_states[index] == "f" and not dealt_with)
    if graph.on_failure is not None:
        node_states[graph.on_failure] = "s" if failed else "w"
    if graph.finalizer is not None:
        node_states[graph.finalizer] = "s"
    return "FAILURE" if failed else "SUCCESS", "".join(node_states[i] for i in range(len(graph.nodes)))


def _comes_true(when: When, node_state: str) -> bool:
    return {When.SUCCESS: node_state == "s", When.FAILURE: node_state == "f", When.ALWAYS: True}[when]


class Player(Hand):
    """Plays a story, in an order of its own."""

    def __init__(self, story: Story, workflow: Workflow) -> None:
        super().__init__(workflow)
        self.story = story
        self.chance = random.Random(story.seed)
        self.good = dict(enumerate(story.good))
        self.waiting: list[Run] = []
        self.running: list[Run] = []
        self.begun: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    def receive(self) -> None:
        """Take the messages that are there."""
        for run in self.take():
            self.sent[run.node] += 1
            self.waiting.append(run)

    def step(self, *, twice: float = 0.0) -> bool:
        """Begin or end one run, any; return False if there is none."""
        self.receive()
        choices = [("start", run) for run in self.waiting] + [("end", run) for run in self.running]
        if not choices:
            return False
        what, run = self.chance.choice(choices)
        (self._start if what == "start" else self._end)(run)
        if self.chance.random() < twice:
            again = Run({"headers": run.headers, "body": _body(run)})
            if again.start() is None:
                self._begin(again)  # it had not been started by the other one
            if what == "end":
                run.end("failed" if self._is_good(run) else "succeeded", "said late")
        return True

    def _start(self, run: Run) -> None:
        self.waiting.remove(run)
        answer = run.start()
        if answer is None:
            self._begin(run)
        elif answer != REPEATED:
            run.end("cancelled")  # someone has cancelled it

    def _begin(self, run: Run) -> None:
        self.begun[run.node] += 1
        self.running.append(run)
        for parent, value in zip(self._given(run), run.args, strict=True):
            assert value == f"result of {parent}"

    def _given(self, run: Run) -> list[int]:
        if run.index >= len(self.story.parents) or self.story.joins[run.index] != "all":
            return []
        return [parent for parent, when in self.story.parents[run.index] if when == "success"]

    def _is_good(self, run: Run) -> bool:
        return self.good.get(run.index, True)

    def _end(self, run: Run) -> None:
        self.running.remove(run)
        if self._is_good(run):
            run.end("succeeded", f"result of {run.node}")
        else:
            run.end("failed")

    def play(self, *, twice: float = 0.0, steps: int = 10_000) -> None:
        """Do steps until nothing is left to do."""
        while steps and self.step(twice=twice):
            steps -= 1

    def forget_and_load(self) -> None:
        """Empty Redis, and make the workflow again from the database if it has not ended."""
        stored = self.stored()
        if stored.is_finished:
            return
        self.forget()
        self.waiting.clear()
        stored.epoch += 1
        stored.save(update_fields=["epoch"])
        assert loader.load(stored, stored.read_graph(), loader.snapshot_of(stored))

    def check_end(self) -> StoredWorkflow:
        """Compare the end with the simple interpreter's, in Redis and in the database."""
        state, node_states = expected(self.workflow.graph, tuple(self.good[i] for i in sorted(self.good)))
        stored = self.stored()
        assert (stored.state, stored.node_states) == (state, node_states)
        assert stored.finished_at is not None
        assert self.state() == state
        return stored


def _body(run: Run) -> str:
    import json

    return json.dumps([run.args, run.kwargs, run.embed])


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def player(story: Story) -> Player:
    """Begin a story with nothing else in Redis."""
    redis.client().flushdb()
    return Player(story, story.workflow())


@quick
@given(stories())
def test_every_order_ends_where_the_interpreter_ends_and_every_node_is_sent_once(story):
    one = player(story)
    one.play()
    stored = one.check_end()
    event(stored.state)
    assert set(one.sent.values()) <= {1}
    assert one.begun.keys() == {str(i) for i, node_state in enumerate(stored.node_states) if node_state in "sf"}


@quick
@given(stories())
def test_what_is_said_twice_is_the_same_as_once(story):
    one = player(story)
    one.play(twice=0.5)
    one.check_end()
    assert set(one.begun.values()) <= {1}
    assert set(one.sent.values()) <= {1}


@quick
@given(stories(), st.integers(0, 20), st.integers(0, 20))
def test_a_pause_anywhere_changes_nothing_in_the_end(story, before, during):
    one = player(story)
    one.play(steps=before)
    stored = one.stored()
    if stored.is_finished:
        return
    services.pause(stored, by=None)
    one.receive()
    one.play(steps=during)
    begun = one.sent.copy()
    one.play()
    assert one.sent == begun, "a paused workflow sends nothing"
    if one.stored().is_finished:
        one.check_end()
        return
    services.unpause(one.stored(), by=None)
    one.play()
    one.check_end()
    assert set(one.sent.values()) <= {1}


@quick
@given(stories(), st.integers(0, 20), st.booleans())
def test_a_cancel_anywhere_ends_everything(story, before, paused):
    one = player(story)
    one.play(steps=before)
    stored = one.stored()
    if stored.is_finished:
        return
    if paused:
        services.pause(stored, by=None)
    services.cancel(one.stored(), by=None, name="me")
    one.play()
    ended = one.stored()
    work = [i for i in range(len(ended.node_states)) if i not in one.workflow.graph.handlers]
    assert ended.state == "CANCELLED"
    assert all(ended.node_states[i] in ENDED for i in work)
    assert set(one.begun.values()) <= {1}
    finalizer = one.workflow.graph.finalizer
    assert finalizer is None or one.begun[str(finalizer)] == 1


@quick
@given(stories(), st.lists(st.integers(0, 12), min_size=1, max_size=3))
def test_redis_may_be_emptied_anywhere(story, moments):
    one = player(story)
    for steps in moments:
        one.play(steps=steps)
        one.forget_and_load()
    one.play()
    one.check_end()
    assert set(one.begun.values()) <= {1}


@quick
@given(stories(), st.integers(0, 20), st.integers(0, 20))
def test_a_cancelled_or_failed_workflow_goes_on_and_keeps_what_ended_well(story, before, later):
    one = player(story)
    one.play(steps=before)
    stored = one.stored()
    if not stored.is_finished:
        services.cancel(stored, by=None, name="me")
        one.play()
        stored = one.stored()
    if stored.state == "SUCCESS":
        return
    graph = one.workflow.graph
    first = stored.node_states
    bad = {i for i, node_state in enumerate(first) if node_state not in "skbw"}
    again = bad | graph.descendants(bad) | graph.handlers
    begun = one.begun.copy()
    one.good = dict.fromkeys(one.good, True)
    services.resume(stored, by=None)
    one.play(steps=later)
    one.forget_and_load()
    one.play()
    one.check_end()
    kept = {i for i, node_state in enumerate(first) if node_state in "sk"} - again
    assert not {i for i in kept if one.begun[str(i)] > begun[str(i)]}, "a result that is kept is not computed again"
