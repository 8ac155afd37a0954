"""A workflow that has ended runs again from any of its nodes, with all that follows it; the rest is kept."""

import pytest

from jobroom import redis
from jobroom.workflows import services
from jobroom.workflows.exceptions import NotNow
from jobroom.workflows.models import State
from jobroom.workflows.tests.hand import Hand, new_workflow, signature

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def succeeded(**launch):
    workflow = new_workflow()
    first = workflow.add_signature(signature(), key="first")
    middle = workflow.add_signature(signature("hand.task", first.result), key="middle")
    workflow.add_signature(signature(), [first], key="beside")
    last = workflow.add_signature(signature("hand.task", middle.result), key="last")
    workflow.returns(last.result)
    hand = Hand(workflow, **launch)
    while runs := hand.take():
        for run in runs:
            run.whole(value=run.node)
    assert hand.stored().state == State.SUCCESS
    return hand


def test_what_follows_the_node_runs_again_and_nothing_else():
    hand = succeeded()
    assert [node.key for node in services.resume(hand.stored(), by=None, again=["middle"])] == ["middle"]
    run = hand.take_one()
    assert run.args == ["0"], "the result of what comes before is kept"
    run.whole(value="new")
    last = hand.take_one()
    assert last.args == ["new"]
    last.whole(value="end")
    stored = hand.stored()
    assert (stored.state, stored.node_states, stored.result) == ("SUCCESS", "ssss", "end")


def test_what_cannot_be_done_is_said():
    hand = succeeded()
    with pytest.raises(NotNow, match="no node nope to run again"):
        services.resume(hand.stored(), by=None, again=["nope"])
    with pytest.raises(NotNow, match="Only a workflow that failed can be resumed"):
        services.resume(hand.stored(), by=None)
    services.resume(hand.stored(), by=None, again=["last"])
    with pytest.raises(NotNow, match="Only a workflow that has ended can be resumed"):
        services.resume(hand.stored(), by=None, again=["last"])


def test_page_and_api_offer_it(as_staff):
    hand = succeeded()
    stored = hand.stored()
    link = f"/workflows/{hand.id}/resume/?from=middle"
    assert link in as_staff.get(f"{stored.get_absolute_url()}?node=middle").content.decode()
    page = as_staff.get(link).content.decode()
    assert "you chose middle" in page
    assert as_staff.post(link).status_code == 303
    assert hand.take_one().node == "1"
    other = succeeded()
    answer = as_staff.post(f"/api/workflows/{other.id}/resume/", {"again": ["last"]}, content_type="application/json")
    assert answer.status_code == 200
    assert other.take_one().node == "3"
