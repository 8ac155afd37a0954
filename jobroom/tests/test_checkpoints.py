"""Steps of a job: done once, whatever comes after them."""

import pytest

from jobroom import redis
from jobroom.tasks.checkpoints import StepsMixin


class Request:
    def __init__(self, job):
        self.id = job


class Task(StepsMixin):
    def __init__(self, job):
        self.request = Request(job)
        self.done = []

    def run(self, *, key="", fails=False):
        with self.step("upload", key=key) as saved:
            if not saved.done:
                self.done.append(key)
                saved.keep({"at": ["x", len(self.done)]})
            if fails:
                raise ValueError("in the step")
        return saved.value


@pytest.fixture(autouse=True)
def _empty():
    redis.client().flushdb()


def test_what_was_kept_is_not_done_again_by_the_same_job():
    assert Task("j1").run() == {"at": ["x", 1]}
    again = Task("j1")
    assert (again.run(), again.done) == ({"at": ["x", 1]}, [])
    other = Task("j2")
    other.run()
    assert other.done == [""]
    assert 0 < redis.client().ttl(redis.key("steps", "j1")) <= 30 * 24 * 3600


def test_another_key_is_another_step():
    task = Task("j1")
    task.run(key={"b": 1, "a": 2})
    task.run(key={"a": 2, "b": 1})
    task.run(key=3)
    assert task.done == [{"b": 1, "a": 2}, 3]


def test_a_step_that_raises_is_not_kept():
    with pytest.raises(ValueError, match="in the step"):
        Task("j1").run(fails=True)
    again = Task("j1")
    again.run()
    assert again.done == [""]


def test_outside_a_job_nothing_is_kept():
    for _ in range(2):
        task = Task(None)
        task.run()
        assert task.done == [""]


def test_a_step_that_cannot_be_kept_does_not_stop_the_job_but_one_that_cannot_be_read_does(monkeypatch, caplog):
    class Away:
        def hget(self, *_):
            return None

        def pipeline(self):
            raise redis.Error("away")

    monkeypatch.setattr("jobroom.tasks.checkpoints.redis.client", Away)
    assert Task("j1").run() == {"at": ["x", 1]}
    assert "could not be kept" in caplog.text
    monkeypatch.setattr(Away, "hget", lambda self, *_: self.pipeline())
    with pytest.raises(redis.Error):
        Task("j1").run()
