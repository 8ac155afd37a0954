"""What events say about the state of a job, in any order and any number of times."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from jobroom.jobs.labels import label
from jobroom.jobs.models import FINISHED, Job, State
from jobroom.jobs.recorder.job_state import conclude
from jobroom.jobs.recorder.parse import Event
from jobroom.jobs.recorder.state_machine import Life
from jobroom.jobs.tests.events import BEGINNING, event, finished, queued, retrying, started

# What may follow what. A finished job lives again when it is queued or started again: a retry by hand, a message
# delivered twice.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.SCHEDULED: frozenset({State.QUEUED, State.RUNNING}) | FINISHED,
    State.QUEUED: frozenset({State.SCHEDULED, State.RUNNING, State.RETRYING}) | FINISHED,
    State.RUNNING: frozenset({State.SCHEDULED, State.QUEUED, State.RETRYING}) | FINISHED,
    State.RETRYING: frozenset({State.SCHEDULED, State.QUEUED, State.RUNNING}) | FINISHED,
    State.SUCCEEDED: frozenset({State.SCHEDULED, State.QUEUED, State.RUNNING}),
    State.FAILED: frozenset({State.SCHEDULED, State.QUEUED, State.RUNNING}),
    State.CANCELLED: frozenset({State.SCHEDULED, State.QUEUED, State.RUNNING}),
    State.SKIPPED: frozenset({State.SCHEDULED, State.QUEUED, State.RUNNING}),
    # Lost is a presumption: what the worker itself says later is the truth.
    State.LOST: frozenset({State.SCHEDULED, State.QUEUED, State.RUNNING, State.RETRYING}) | FINISHED - {State.LOST},
}

NOW = datetime.fromtimestamp(BEGINNING + 50, UTC)


def live(events: list[Event], each: bool = False) -> Life:
    """Apply the events in their order to a new job; conclude at the end, or after each."""
    life = Life(Job(pk="job", created_at=events[0].at), {}, True, "")
    for item in events:
        life.apply(item)
        if each:
            conclude(life, NOW)
    conclude(life, NOW)
    return life


def picture(life: Life) -> dict[str, object]:
    """Return everything that the facts determine."""
    job = {f.name: getattr(life.job, f.name) for f in Job._meta.concrete_fields}
    rows = sorted(
        (a.execution, a.number, a.state, a.started_at, a.finished_at, a.error) for a in life.attempts.values()
    )
    job["facts"] = {**life.job.facts, "waited": sorted(life.job.facts.get("waited", ()))}
    return {**job, "attempt rows": rows}


WAITING = event(3, "waiting", execution="a", lock="gate", holder="other")

# The story of a job, and the state in which it leaves it.
STORIES: dict[str, tuple[list[Event], State]] = {
    "launched": ([queued(1)], State.QUEUED),
    "for later": ([queued(1, eta=datetime.fromtimestamp(BEGINNING + 99, UTC).isoformat())], State.SCHEDULED),
    "its time has come": ([queued(1, eta=datetime.fromtimestamp(BEGINNING + 9, UTC).isoformat())], State.QUEUED),
    "runs": ([queued(1), started(2)], State.RUNNING),
    "runs, never announced": ([started(2)], State.RUNNING),
    "succeeded": ([queued(1), started(2), finished(3)], State.SUCCEEDED),
    "failed": ([queued(1), started(2), finished(3, state="failed", error="no")], State.FAILED),
    "skipped": ([queued(1), started(2), finished(3, state="skipped", holder="other")], State.SKIPPED),
    "retries": ([queued(1), started(2), queued(3, retries=1), retrying(4)], State.RETRYING),
    "retried": ([queued(1), started(2), queued(3, retries=1), retrying(4), started(5, "b")], State.RUNNING),
    "retry started before its reason is reported": (
        [queued(1), started(2), queued(3, retries=1), started(4, "b"), retrying(5), finished(6, "b")],
        State.SUCCEEDED,
    ),
    "retries used up": (
        [queued(1), started(2), queued(3, retries=1), retrying(4), started(5, "b"), finished(6, "b", "failed")],
        State.FAILED,
    ),
    "waits for a lock": ([queued(1), started(2), WAITING], State.QUEUED),
    "waits for a lock, announced again": ([queued(1), started(2), WAITING, queued(4)], State.QUEUED),
    "got its lock": ([queued(1), started(2), WAITING, started(4, "b"), finished(5, "b")], State.SUCCEEDED),
    "revoked before it started": ([queued(1), finished(2, None, "cancelled")], State.CANCELLED),
    "terminated": ([queued(1), started(2), finished(3, None, "cancelled")], State.CANCELLED),
    "killed, reported by the main process": ([queued(1), started(2), finished(3, None, "failed")], State.FAILED),
    "lost": ([queued(1), started(2), finished(3, "a", "lost")], State.LOST),
    "lost, and sent again": ([queued(1), started(2), finished(3, "a", "lost"), queued(4)], State.QUEUED),
    "lost without its execution, and sent again": (
        [queued(1), started(2), finished(3, None, "lost"), queued(4), started(5, "b"), finished(6, "b")],
        State.SUCCEEDED,
    ),
    "held for lost, but alive": ([queued(1), started(2), finished(3, "a", "lost"), finished(4)], State.SUCCEEDED),
    "held for lost and delivered again, but alive": (
        [queued(1), started(2), retrying(3, error_type="WorkerLost"), finished(4)],
        State.SUCCEEDED,
    ),
    "held for lost and run again, both end": (
        [queued(1), started(2), retrying(3, error_type="WorkerLost"), finished(4), started(5, "b"), finished(6, "b")],
        State.SUCCEEDED,
    ),
    "redelivered": ([queued(1), started(2), started(3, "b")], State.RUNNING),
    "redelivered, the first one ends late": (
        [queued(1), started(2), started(3, "b"), finished(4, "b"), finished(5, "a", "failed")],
        State.SUCCEEDED,
    ),
    "delivered twice": (
        [queued(1), started(2), finished(3), started(4, "b"), finished(5, "b", "failed")],
        State.FAILED,
    ),
    "launched again by hand": ([queued(1), started(2), finished(3), queued(4)], State.QUEUED),
    "cancelled while it waits for its retry": (
        [queued(1), started(2), queued(3, retries=1), retrying(4), finished(5, None, "cancelled")],
        State.CANCELLED,
    ),
    "the second end is not heard": ([queued(1), started(2), finished(3), finished(4, state="failed")], State.SUCCEEDED),
    "revoked after the end": ([queued(1), started(2), finished(3), finished(4, None, "cancelled")], State.SUCCEEDED),
    "reports": (
        [
            queued(1),
            started(2),
            event(3, "progress", execution="a", fraction=0.2, current=2, total=10),
            event(4, "log", execution="a", level="info", message="hello"),
            event(5, "progress", execution="a", fraction=0.4, current=4, total=10),
        ],
        State.RUNNING,
    ),
}
every_story = pytest.mark.parametrize(("story", "state"), STORIES.values(), ids=STORIES.keys())


@every_story
def test_each_story_ends_in_its_state(story, state):
    life = live(story)
    assert life.job.state == state
    assert (life.job.finished_at is not None) == life.job.is_finished


@every_story
def test_reported_one_by_one_every_step_is_a_legal_transition(story, state):
    life = Life(Job(pk="job", created_at=story[0].at), {}, True, "")
    before = None
    for item in story:
        life.apply(item)
        conclude(life, NOW)
        assert before is None or life.job.state == before or life.job.state in TRANSITIONS[State(before)]
        before = life.job.state
    assert picture(life) == picture(live(story))


@every_story
def test_every_order_gives_the_same(story, state):
    expected = picture(live(story))
    for order in itertools.islice(itertools.permutations(story), 200):
        assert picture(live(list(order), each=True)) == expected


@every_story
def test_twice_is_the_same_as_once(story, state):
    assert picture(live([*story, *story], each=True)) == picture(live(story))


@settings(max_examples=200)
@given(data=st.data())
def test_any_order_and_repetition_of_any_story(data):
    story, _ = data.draw(st.sampled_from(list(STORIES.values())))
    again = data.draw(st.lists(st.sampled_from(story), max_size=6))
    order = data.draw(st.permutations(story + again))
    each = data.draw(st.booleans())
    assert picture(live(order, each=each)) == picture(live(story))


def arbitrary_events() -> st.SearchStrategy[list[Event]]:
    """Return lists of events that no worker would send in that order."""
    execution = st.sampled_from(["a", "b", "c"])
    kind = st.one_of(
        st.tuples(st.just(queued), st.fixed_dictionaries({"retries": st.integers(0, 2)})),
        st.tuples(st.just(started), st.fixed_dictionaries({"execution": execution})),
        st.tuples(
            st.just(finished),
            st.fixed_dictionaries(
                {
                    "execution": st.none() | execution,
                    "state": st.sampled_from(["succeeded", "failed", "cancelled", "skipped", "lost"]),
                    "noticed": st.booleans(),
                }
            ),
        ),
        st.tuples(st.just(retrying), st.fixed_dictionaries({"execution": execution})),
    )
    return st.lists(kind, min_size=1, max_size=8).map(
        lambda kinds: [make(position, **kwargs) for position, (make, kwargs) in enumerate(kinds, 1)]
    )


@settings(max_examples=300)
@given(events=arbitrary_events())
def test_any_nonsense_ends_in_a_consistent_job(events):
    life = live(events, each=True)
    assert life.job.state in State.values
    assert (life.job.finished_at is not None) == life.job.is_finished
    assert sorted({a.number for a in life.attempts.values()}) == list(range(1, len(life.attempts) + 1))
    assert sum(a.state == State.RUNNING for a in life.attempts.values()) <= 1
    assert picture(live([*events, *events], each=True)) == picture(life)


def test_a_launch_reported_late_does_not_move_a_finished_job_back():
    late = queued(9)
    late.data["at"] = BEGINNING + 1
    life = live([started(2), finished(3), Event(late.seq, "queued", "job", started(1).at, late.data)])
    assert life.job.state == State.SUCCEEDED
    assert life.job.args == [1, 2]


def test_the_launch_keeps_its_source_when_the_retry_is_queued_by_the_task():
    life = live([queued(1, source="page"), started(2), queued(3, retries=1, source="task"), retrying(4)])
    assert life.job.source == "page"


def test_a_waiting_job_names_its_lock_and_forgets_it_when_it_runs():
    waiting = live([queued(1), started(2), WAITING])
    assert (waiting.job.lock, waiting.job.holder, waiting.job.attempts) == ("gate", "other", 0)
    running = live([queued(1), started(2), WAITING, started(4, "b")])
    assert (running.job.lock, running.job.holder, running.job.attempts) == ("", "", 1)


def test_only_the_last_look_at_a_busy_lock_is_kept():
    story = [queued(1)]
    for turn in range(20):
        story += [
            started(2 + 2 * turn, f"x{turn}"),
            event(3 + 2 * turn, "waiting", execution=f"x{turn}", lock="gate"),
        ]
    life = live(story, each=True)
    assert list(life.attempts) == ["x19"]


def test_the_older_attempt_of_a_redelivered_job_is_closed_as_lost():
    life = live([queued(1), started(2), started(3, "b")])
    assert life.attempts["a"].state == State.LOST
    assert life.attempts["a"].finished_at == life.attempts["b"].started_at
    assert (life.attempts["a"].number, life.attempts["b"].number) == (1, 2)


def test_progress_of_an_older_attempt_is_not_shown():
    life = live([started(1), event(2, "progress", execution="a", fraction=0.5), started(3, "b")])
    assert life.job.fraction is None


def test_the_error_of_an_attempt_is_the_jobs_while_it_retries_only():
    story = [queued(1), started(2), retrying(3)]
    assert live(story).job.error == "no"
    assert live([*story, started(4, "b")]).job.error == ""


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ([], {}, ""),
        ([1, "two"], {"b": True, "a": None}, "1, two, b=true, a=null"),
        (["x" * 500], {}, "x" * 39 + "…"),
        ([list(range(9))] * 9, {}, ", ".join(["[0, 1, 2, 3, 4, 5, 6, 7, 8]"] * 9)[:119] + "…"),
    ],
)
def test_labels_are_short(args, kwargs, text):
    assert label(args, kwargs) == text


def test_runtime_of_a_running_job_grows():
    job = Job(state=State.RUNNING, started_at=timezone.now() - timedelta(seconds=5))
    assert job.runtime
    assert job.runtime >= timedelta(seconds=5)


def test_a_worker_that_meets_a_cancelled_job_changes_nothing():
    story = [queued(1), finished(2, execution=None, state="cancelled", error="Cancelled by ada before it started.")]
    before, after = live(story).job, live([*story, finished(9, execution=None, state="cancelled", noticed=True)]).job
    assert (after.state, after.finished_at, after.error) == (State.CANCELLED, before.finished_at, before.error)


def test_a_job_cancelled_while_its_worker_was_gone_is_reported_as_cancelled():
    story = [queued(1), started(2), retrying(3, execution=None, error="The worker vanished.")]
    assert live(story).job.state != State.CANCELLED
    job = live([*story, finished(4, execution=None, state="cancelled", error="Cancelled by ada.", noticed=True)]).job
    assert (job.state, job.error, job.is_finished) == (State.CANCELLED, "Cancelled by ada.", True)


def test_a_cancelled_job_that_is_wanted_again_waits():
    story = [queued(1), finished(2, execution=None, state="cancelled", noticed=True), queued(3)]
    assert live(story).job.state == State.QUEUED
