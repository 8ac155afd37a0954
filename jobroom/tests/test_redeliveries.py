"""The end of a request does not strike its successor from the worker's table."""

import pytest
from celery.worker import state
from celery.worker.request import Request as CeleryRequest

from jobroom.celery.redeliveries import Request


class Loss:
    """Stands for what the pool says of a process that is gone."""

    exception = ValueError("not a loss that goes back")


@pytest.fixture
def requests(monkeypatch):
    monkeypatch.setattr(CeleryRequest, "on_failure", lambda self, *_: state.requests.pop(self.id, None))
    old, new = (type("Dummy", (Request,), {"id": "j1", "__init__": lambda self: None})() for _ in "ab")
    yield old, new
    state.requests.pop("j1", None)


def test_a_job_that_was_sent_again_stays_known(requests):
    old, new = requests
    state.requests["j1"] = new
    old.on_failure(Loss())
    assert state.requests["j1"] is new


def test_its_own_entry_goes(requests):
    old, _ = requests
    state.requests["j1"] = old
    old.on_failure(Loss())
    assert "j1" not in state.requests
