"""What one process can show of the locks; races, kills and restarts are in tests/acceptance."""

import gc
import inspect
import itertools
import json
import logging
import os
import signal
import threading

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobroom import events, redis
from jobroom.exceptions import LockBusy, LockLost, RedisUnavailable
from jobroom.locks import ExclusiveLock, break_lock, broken, exclusive_task, holder, holders, lost, names, redis_lock
from jobroom.locks.renewal import KeeperFailed, keeping
from jobroom.testing import wait_until

_numbers = itertools.count()


@pytest.fixture
def name():
    """Return the name of a lock of the test's own: a renewal that is on its way when a test ends would take the same one."""
    _empty()
    yield f"test lock {next(_numbers)}"
    # A keeper that renews nothing serves the next test too: its start is what most tests here cost.
    if keeping().orders:
        keeping().close()
    _empty()


def _empty():
    """Forget all locks, but not that they were released: that is what refuses a renewal on its way."""
    client = redis.client()
    client.delete(*client.scan_iter(redis.key("lock:*")), names.index_key(), names.audit_key(), events.stream())


def _events(kind="lock"):
    rows = [json.loads(fields["e"]) for _, fields in redis.client().xrange(events.stream())]
    return [row for row in rows if row["type"] == kind]


def _expire(lock):
    """Do what time does to a lock that no one renews."""
    keeping().close()
    redis.client().delete(names.keys(lock.name)[0])


def test_only_one_of_two_has_it(name):
    first, second = ExclusiveLock(name), ExclusiveLock(name)
    assert first.acquire()
    assert not second.acquire()
    assert first.release()
    assert second.acquire()
    assert second.release()


def test_an_object_cannot_take_its_lock_twice(name):
    lock = ExclusiveLock(name)
    assert lock.acquire()
    with pytest.raises(RuntimeError, match="already held"):
        lock.acquire()
    lock.release()
    assert lock.acquire()
    lock.release()


def test_a_lock_that_is_held_is_renewed_before_it_runs_out(name):
    """A term that is not the lock's own is set right by the next renewal: so nothing has to run out to see one."""
    key = names.keys(name)[0]
    with ExclusiveLock(name, ttl=3) as lock:
        redis.client().pexpire(key, 100_000)
        wait_until(lambda: 0 < redis.client().pttl(key) <= 3000, 30, "the keeper has renewed it")
        assert lock.held
    assert redis.client().pttl(key) < 0


def test_the_holder_is_shown(name):
    assert holder(name) is None
    with ExclusiveLock(name, ttl=20, job="j1", task="Import") as lock:
        (shown,) = holders()
        assert shown == holder(name) or shown.expires_in != holder(name).expires_in
        assert (shown.name, shown.job, shown.task, shown.pid) == (name, "j1", "Import", os.getpid())
        assert shown.fencing == lock.fencing
        assert 10 < shown.expires_in <= 20
        assert abs(shown.since - redis.now()) < 10
    assert holders() == []


def test_the_block_refuses_to_start_without_the_lock(name):
    with ExclusiveLock(name, job="j1"):
        with pytest.raises(LockBusy, match="held by j1"), ExclusiveLock(name):
            pytest.fail("entered")
        assert holder(name).job == "j1"


def test_the_fencing_number_grows_even_when_redis_forgets(name):
    seen = []
    for forget in (False, True, False, True):
        with ExclusiveLock(name) as lock:
            seen.append(lock.fencing)
        if forget:
            keeping().close()
            _empty()
    assert seen == sorted(set(seen))


@hypothesis_settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=2, max_size=10))
def test_fencing_numbers_of_any_locks_never_repeat(steps):
    seen = []
    for letter, by_force in steps:
        lock = ExclusiveLock(f"property {letter}")
        assert lock.acquire()
        seen.append(lock.fencing)
        if by_force:
            assert break_lock(lock.name, by="anna", reason="test")
        else:
            assert lock.release()
    assert seen == sorted(set(seen))


def test_a_late_owner_can_neither_release_nor_extend_its_successors_lock(name):
    late, successor = ExclusiveLock(name, ttl=30), ExclusiveLock(name, ttl=30, job="j2")
    assert late.acquire()
    _expire(late)
    assert successor.acquire()
    keeping().close()
    redis.client().pexpire(names.keys(name)[0], 25_000)
    with pytest.raises(LockLost, match="passed to job j2"):
        late.check()
    assert not late.held
    assert holder(name).expires_in <= 25, "not as long as the late one would have it"
    assert not late.release()
    assert holder(name).fencing == successor.fencing
    assert successor.release()


def test_a_late_owner_learns_of_it_even_if_its_successor_has_finished(name):
    late = ExclusiveLock(name, job="j1")
    assert late.acquire()
    _expire(late)
    with ExclusiveLock(name):
        pass
    assert not late.held
    assert not late.release()
    assert holder(name) is None
    assert [(e["job"], e["action"], e["lock"]) for e in _events()] == [("j1", "lost", name)]


def test_a_lock_that_redis_forgot_is_put_back_as_it_was(name):
    lock = ExclusiveLock(name, ttl=30, job="j1")
    assert lock.acquire()
    before = holder(name)
    _empty()
    back = wait_until(lambda: holder(name), what="the keeper puts it back")
    assert (back.fencing, back.job, back.since) == (before.fencing, "j1", before.since)
    assert [found.name for found in holders()] == [name]
    assert lock.held
    assert lost("j1") == []
    assert lock.release()
    assert _events() == []


def test_the_keeper_reports_a_loss_without_being_asked_over_redis(name):
    lock = ExclusiveLock(name, ttl=30, job="j1")
    assert lock.acquire()
    assert lost("j1") == []
    redis.client().hset(names.keys(name)[0], mapping={"token": "other", "job": "j2"})
    assert wait_until(lambda: lost("j1")) == [lock]
    assert lost("j1") == [lock]
    assert lost("j2") == []
    assert not lock.release()
    assert lost("j1") == []
    assert len(_events()) == 1


def test_an_operator_breaks_a_lock_and_is_remembered(name):
    lock = ExclusiveLock(name, job="j1", task="Import")
    assert lock.acquire()
    was = break_lock(name, by="anna", reason="stuck since Friday")
    assert (was.job, was.fencing) == ("j1", lock.fencing)
    assert holder(name) is None
    assert wait_until(lambda: lost("j1")) == [lock], "the keeper does not put it back"
    assert not lock.release()
    (entry,) = broken()
    assert (entry.by, entry.reason, entry.holder.job, entry.holder.name) == ("anna", "stuck since Friday", "j1", name)
    assert abs(entry.at - redis.now()) < 30
    assert [event["action"] for event in _events()] == ["broken", "lost"]
    with ExclusiveLock(name) as successor:
        assert successor.fencing > lock.fencing


def test_breaking_a_free_lock_does_nothing(name):
    assert break_lock(name, by="anna", reason="test") is None
    assert broken() == []
    assert _events() == []


@pytest.mark.parametrize(("by", "reason"), [("", "x"), ("anna", " ")])
def test_breaking_needs_a_name_and_a_reason(name, by, reason):
    with ExclusiveLock(name):
        with pytest.raises(ValueError, match="`by`"):
            break_lock(name, by=by, reason=reason)
        assert holder(name) is not None


def test_a_waiting_call_gets_the_lock_when_it_is_freed(name):
    first, second = ExclusiveLock(name), ExclusiveLock(name)
    assert first.acquire()
    got = []
    thread = threading.Thread(target=lambda: got.append(second.acquire(wait=20)))
    thread.start()
    wait_until(lambda: second.refusal.at, what="the second has tried")
    first.release()
    thread.join(20)
    assert got == [True]
    assert second.release()


def test_a_bounded_wait_ends(name):
    with ExclusiveLock(name):
        assert not ExclusiveLock(name).acquire(wait=0.05)


def test_a_forked_process_does_not_own_its_parents_lock(name):
    with ExclusiveLock(name, ttl=20) as lock:
        child = os.fork()
        if child == 0:
            answer = [lock.release(), lock.held, keeping().child is not None, lost("")]
            os._exit(0 if answer == [False, False, False, []] else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert lock.held
        assert keeping().child.process.poll() is None


def test_a_lock_object_that_is_dropped_is_not_renewed(name):
    lock = ExclusiveLock(name, ttl=0.5)
    assert lock.acquire()
    del lock
    gc.collect()
    wait_until(lambda: holder(name) is None)


def test_a_keeper_that_was_killed_is_replaced(name):
    lock, other = ExclusiveLock(name, ttl=20), ExclusiveLock("other", ttl=20)
    assert lock.acquire()
    first = keeping().child.process
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert other.acquire()
    assert keeping().child.process.pid != first.pid
    _empty()
    wait_until(lambda: len(holders()) == 2, what="the new keeper keeps both")
    assert lock.release()
    assert other.release()


def test_a_keeper_that_was_killed_is_missed_at_the_next_question(name):
    lock = ExclusiveLock(name, ttl=20, job="j1")
    assert lock.acquire()
    first = keeping().child.process
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert lost("j1") == []
    assert keeping().child.process.pid != first.pid
    assert lock.release()


def test_a_lock_that_cannot_be_kept_is_not_taken(name, monkeypatch):
    keeping().close()
    monkeypatch.setattr("jobroom.locks.renewal.PROGRAM", "/nowhere/keeper.py")
    monkeypatch.setattr("jobroom.locks.renewal.sys.executable", "/nowhere/python")
    with pytest.raises(KeeperFailed, match="does not start"):
        ExclusiveLock(name).acquire()
    assert holder(name) is None


def test_without_redis_the_error_says_so(name, settings):
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    with pytest.raises(RedisUnavailable, match="cannot be asked"):
        ExclusiveLock(name).acquire()
    with pytest.raises(RedisUnavailable):
        holders()


def test_too_short_a_ttl_is_refused():
    with pytest.raises(ValueError, match=r"ttl=0\.1"):
        ExclusiveLock("x", ttl=0.1)


def test_redis_lock_yields_whether_it_is_ours(name):
    with redis_lock(name) as ours:
        assert ours is True
        with redis_lock(name, False, expire=False) as second:
            assert second is False
        assert holder(name) is not None
    assert holder(name) is None


# Names ---------------------------------------------------------------------------------------------------------------


def _run(self, submission_id: int, *, mode: str = "full", **rest):
    """Do it."""
    return submission_id


def test_names_come_from_the_arguments():
    assert names.namer("plain", _run)((None, 3), {}) == "plain"
    assert names.namer("{{literal}}", _run)((None, 3), {}) == "{literal}"
    assert names.namer("{submission_id}/{mode}", _run)((None, 3), {}) == "3/full"
    assert names.namer("{submission_id}/{mode}/{who}", _run)((None,), {"submission_id": 4, "who": "me"}) == "4/full/me"
    assert names.namer(lambda a, mode="x": f"{a}-{mode}", _run)((3,), {"mode": "y"}) == "3-y"


def test_a_template_with_an_unknown_argument_is_refused_when_the_task_is_defined():
    def run(self, submission_id): ...

    with pytest.raises(TypeError, match=r"'submision_id', which is no argument of the task; these are: submission_id"):
        exclusive_task("Import", "Import {submision_id}")(run)


@given(st.text(min_size=1, max_size=400).filter(lambda text: text.strip()))
def test_names_are_short_and_differ(text):
    assert len(names.clean(text)) <= names.LONGEST
    assert names.clean(text + "a" * 250) != names.clean(text + "a" * 249 + "b")


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_a_name_is_a_text(name):
    with pytest.raises(ValueError, match="not empty"):
        names.clean(name)


# exclusive_task, called directly -------------------------------------------------------------------------------------


def test_the_decorated_function_keeps_its_face():
    decorated = exclusive_task("Import", "x")(_run)
    assert (decorated.__name__, decorated.__doc__) == ("_run", "Do it.")
    assert inspect.signature(decorated) == inspect.signature(_run)
    assert inspect.getfullargspec(decorated).args == ["self", "submission_id"]
    assert decorated.lock.task_name == "Import"


def test_a_direct_call_is_exclusive_and_answers_when_busy(name, caplog):
    @exclusive_task("Import", name, False, True)
    def run():
        assert holder(name).task == "Import"
        return "done"

    assert run() == "done"
    with ExclusiveLock(name), caplog.at_level(logging.WARNING):
        assert run() == "Import already running!"
    assert "Import already running!" in caplog.text
    assert run() == "done"


def test_different_arguments_do_not_exclude_each_other(name):
    @exclusive_task(task_name="Import", lock_id=name + " {pk}", lock_expire=True)
    def run(pk):
        return pk

    with ExclusiveLock(name + " 1"):
        assert run(1) == "Import already running!"
        assert run(pk="1") == "Import already running!"
        assert run(2) == 2


def test_a_blocking_direct_call_waits(name):
    run = exclusive_task("Import", name, blocking=True)(lambda: "done")
    short = exclusive_task("Import", name, blocking=True, wait=0.05)(lambda: "done")
    lock = ExclusiveLock(name)
    assert lock.acquire()
    assert short() == "Import already running!"
    timer = threading.Timer(0.1, lock.release)
    # The lock object belongs to the process, not to the thread.
    timer.start()
    assert run() == "done"
    timer.join()


def test_an_error_frees_the_lock(name):
    @exclusive_task("Import", name)
    def run():
        raise KeyError("x")

    for _ in range(2):
        with pytest.raises(KeyError):
            run()
    assert holder(name) is None
