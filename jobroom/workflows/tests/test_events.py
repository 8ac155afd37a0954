"""Nodes that wait for an event: delivered by a person, over the API, by a signed link; or not in time."""

from typing import Any

import pytest
from celery import current_app
from django.core import signing
from django.test import Client
from django.urls import reverse

from jobroom import redis
from jobroom.audit.models import Act
from jobroom.testing import wait_until
from jobroom.workflows import arrivals, services, signed_links
from jobroom.workflows.definitions.recipe import Recipe
from jobroom.workflows.engine import keys
from jobroom.workflows.exceptions import NotAllowed, NotNow, WorkflowException
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.repair import sweeper, verification
from jobroom.workflows.tests.hand import Hand, new_workflow, signature

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()
    sweeper._suspects.seen.clear()


def payment(*, catch: bool = False, timeout: float | None = None, bare: bool = False, **launch: Any) -> Hand:
    """Begin a workflow that waits for a payment; with `catch` something runs when it does not come in time.

    `bare`: what follows uses no data of it.
    """
    workflow = new_workflow()
    paid = workflow.wait_for("payment", about="The payment of Ada", timeout=timeout)
    workflow.add_signature(
        signature("hand.ship", *([] if bare else [paid.result["data"]["amount"]]), paid.result["by"]),
        [paid],
        key="ship",
    )
    if catch:
        late = workflow.add_signature(signature("hand.remind"), key="remind")
        late.add_dependency(paid, {"when": "timeout"})
    return Hand(workflow, **launch)


def node(stored: StoredWorkflow, index: int = 0) -> Any:
    return stored.read_graph().nodes[index]


def deliver(hand: Hand, data: Any = None, by: Any = None) -> None:
    stored = hand.stored()
    arrivals.deliver(stored, node(stored), data, by=by)


def test_it_waits_without_a_job_and_passes_on_what_is_delivered(staff):
    hand = payment()
    assert (hand.take(), hand.stored().node_states) == ([], "ew")
    deliver(hand, {"amount": 12}, by=staff)
    run = hand.take_one()
    assert run.args == [12, "grace"]
    run.whole()
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("SUCCESS", "ss")
    act = Act.objects.get(action="delivered to")
    assert (act.who, act.kind, act.target, act.outcome) == ("grace", "workflow", hand.id, "Node payment.")


def test_it_is_delivered_once():
    hand = payment()
    deliver(hand, {"amount": 1})
    with pytest.raises(NotNow, match="answered already"):
        deliver(hand, {"amount": 2})
    assert hand.take_one().args[0] == 1


def test_only_what_waits_for_an_event_is_delivered_to(ada, staff):
    hand = payment()
    stored = hand.stored()
    with pytest.raises(NotNow, match="“ship” waits for no event"):
        arrivals.deliver(stored, node(stored, 1), None, by=None)
    with pytest.raises(NotNow, match="“payment” is no approval"):
        arrivals.decide(stored, node(stored), approve=True, by=staff)
    with pytest.raises(NotAllowed):
        arrivals.deliver(stored, node(stored), None, by=ada)


def test_what_is_delivered_is_bounded(settings):
    settings.JOBROOM = settings.JOBROOM | {"WORKFLOWS_RESULT_LIMIT": 20}
    with pytest.raises(NotNow, match="more than 20 characters"):
        deliver(payment(), "x" * 30)


@pytest.mark.parametrize(("catch", "state", "node_states"), [(False, "FAILURE", "tb"), (True, "SUCCESS", "tbs")])
def test_a_time_out_is_an_end_of_its_own(catch, state, node_states):
    hand = payment(catch=catch, timeout=0.01)
    hand.record()
    wait_until(lambda: verification.glance() or hand.stored().node_states[0] == "t", 10, "the next look ends it")
    if catch:
        run = hand.take_one()
        assert run.headers["task"] == "hand.remind"
        run.whole()
    stored = hand.stored()
    assert (stored.state, stored.node_states) == (state, node_states)
    with pytest.raises(NotNow, match="answered already"):
        deliver(hand)


def test_what_comes_in_time_leaves_the_other_way_blocked():
    hand = payment(catch=True, timeout=3600)
    hand.record()
    verification.glance()
    deliver(hand, {"amount": 3})
    hand.take_one().whole()
    assert (hand.stored().state, hand.stored().node_states) == ("SUCCESS", "ssb")


def test_a_cancel_ends_it():
    hand = payment(timeout=3600)
    services.cancel(hand.stored(), by=None, name="me")
    assert (hand.stored().state, hand.stored().node_states) == ("CANCELLED", "cc")


def test_a_resume_waits_again_and_what_was_delivered_stands():
    hand = payment()
    deliver(hand, {"amount": 5})
    hand.take_one().whole("failed")
    assert hand.stored().node_states == "sf"
    services.resume(hand.stored(), by=None)
    assert hand.take_one().args[0] == 5
    late = payment(timeout=0.01)
    late.record()
    wait_until(lambda: verification.glance() or late.stored().node_states == "tb", 10, "its time is over")
    services.resume(late.stored(), by=None)
    assert late.node_states() == {"0": "e"}


def test_when_redis_forgets_it_waits_on_for_the_rest_of_its_time():
    hand = payment(timeout=3600)
    since = hand.stored().waiting_since["0"]
    hand.forget()
    StoredWorkflow.objects.filter(pk=hand.id).update(started_at="2020-01-01T00:00:00Z")
    sweeper.sweep()
    assert hand.node_states() == {"0": "e"}
    kept: Any = redis.client().hget(keys.workflow(hand.id, "x"), "a0")
    assert float(kept) == pytest.approx(float(since))
    assert redis.client().zscore(keys.due(), f"{hand.id}/0") == pytest.approx(float(since) + 3600)
    deliver(hand, {"amount": 7})
    hand.forget()
    sweeper.sweep()
    assert hand.take_one().args[0] == 7, "what was delivered is in the database"


# --- links -----------------------------------------------------------------------------------------------------------


def address(hand: Hand) -> str:
    stored = hand.stored()
    return "/" + signed_links.make(stored, node(stored), by=None).split("//")[1].partition("/")[2]


def test_who_holds_a_link_confirms_with_a_button_and_once():
    hand = payment(bare=True)
    link, other = address(hand), address(hand)
    client = Client(enforce_csrf_checks=True)
    page = client.get(link)
    assert (page.status_code, hand.node_states()["0"]) == (200, "e"), "looking at it delivers nothing"
    text = page.content.decode()
    assert "The payment of Ada" in text
    assert "hand.ship" not in text
    assert hand.id not in text
    assert page.headers["Cache-Control"].count("no-store") == 1
    assert client.post(link).status_code == 403, "only from the page"
    form = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    assert "it is confirmed" in client.post(link, form).content.decode()
    act = Act.objects.get(action="delivered to")
    assert (act.who, act.outcome) == (arrivals.LINK, "Node payment.")
    again = client.post(link, form)
    assert (again.status_code, "used already" in again.content.decode()) == (409, True)
    assert client.post(other, form).status_code == 409, "someone else was faster"
    assert "nothing left to confirm" in client.get(other).content.decode()
    hand.take_one()
    assert hand.stored().decisions["0"]["result"] == {"by": arrivals.LINK, "data": None}


def test_a_link_that_was_used_is_void_also_when_the_node_waits_again():
    hand = payment(bare=True)
    link = address(hand)
    Client().post(link)
    hand.take_one().whole("failed")
    services.resume(hand.stored(), by=None, again=["payment"])
    assert hand.node_states() == {"0": "e"}
    assert Client().post(link).status_code == 409
    assert Client().post(address(hand)).status_code == 200


def test_links_expire_and_cannot_be_made_up(settings):
    link = address(payment(bare=True))
    for wrong in (link[:-3] + "x/", link.replace("/events/", "/events/x"), "/workflows/events/nothing/"):
        answer = Client().post(wrong)
        assert (answer.status_code, "not valid" in answer.content.decode()) == (404, True)
    foreign = signing.dumps(["nobody", 0, "x"], salt=signed_links.SALT)
    assert Client().get(reverse("jobroom:workflows:event", args=[foreign])).status_code == 404
    settings.JOBROOM = settings.JOBROOM | {"WORKFLOWS_LINKS_LAST": -3600}
    answer = Client().post(link)
    assert (answer.status_code, "has expired" in answer.content.decode()) == (404, True)


def test_a_link_may_be_made_before_the_node_waits_by_a_job_of_the_workflow(monkeypatch):
    workflow = new_workflow()
    ask = workflow.add_signature(signature("hand.mail"), key="mail")
    workflow.wait_for("payment", [ask])
    hand = Hand(workflow)
    run = hand.take_one()
    with pytest.raises(WorkflowException, match="for jobs of workflows"):
        signed_links.link_to("payment")
    task = current_app.tasks["demo.add"]
    task.push_request(workflow=hand.id)
    monkeypatch.setattr(signed_links, "current_task", task)
    try:
        link = signed_links.link_to("payment")
        with pytest.raises(WorkflowException, match="no node “paiment”"):
            signed_links.link_to("paiment")
    finally:
        task.pop_request()
    path = "/" + link.split("//")[1].partition("/")[2]
    assert "No one waits for this yet" in Client().get(path).content.decode()
    assert Client().post(path).status_code == 409
    run.whole()
    assert "Confirm" in Client().get(path).content.decode()


def test_a_link_has_the_path_of_the_site_once(settings):
    settings.JOBROOM = settings.JOBROOM | {"SITE_URL": "https://example.org/room"}
    stored = payment().stored()
    assert signed_links.make(stored, node(stored), by=None).startswith("https://example.org/room/workflows/events/")


# --- page, API, files ------------------------------------------------------------------------------------------------


def test_the_page_offers_it_and_says_what_is_wrong(staff):
    hand = payment(timeout=3600)
    hand.record()
    client = Client()
    client.force_login(staff)
    page = client.get(f"/workflows/{hand.id}/?node=payment").content.decode()
    assert "The payment of Ada" in page
    assert "then it ends as not in time" in page
    deliver_at = reverse("jobroom:workflows:deliver", args=[hand.id])
    answer = client.post(deliver_at, {"node": "payment", "data": "{"}, follow=True).content.decode()
    assert "The data is no JSON. Line 1" in answer
    answer = client.post(reverse("jobroom:workflows:link", args=[hand.id]), {"node": "payment"}, follow=True)
    assert "/workflows/events/" in answer.content.decode()
    answer = client.post(deliver_at, {"node": "payment", "data": '{"amount": 4}'}, follow=True).content.decode()
    assert "Delivered to “payment”." in answer
    assert "Delivered by grace." in client.get(f"/workflows/{hand.id}/?node=payment").content.decode()
    assert hand.take_one().args[0] == 4


def test_the_api_delivers_and_makes_links(ada):
    hand = payment(owner=ada)
    hand.record()
    client = Client()
    client.force_login(ada)
    base = f"/api/workflows/{hand.id}/nodes/"
    made = client.post(f"{base}payment/link/", content_type="application/json")
    assert (made.status_code, "/workflows/events/" in made.json()["link"]) == (201, True)
    answer = client.post(f"{base}payment/event/", {"data": {"amount": 9}}, content_type="application/json")
    assert (answer.status_code, answer.json()["detail"]) == (200, "It is delivered.")
    again = client.post(f"{base}payment/event/", {"data": 1}, content_type="application/json")
    assert again.status_code == 409
    assert client.post(f"{base}nothing/event/", {}, content_type="application/json").status_code == 404


TEXT = """
name: payment
nodes:
  paid: {wait_for: The payment, timeout: 60}
  ship: {task: demo.add, args: ["${paid.result.data.amount}", 1]}
  remind: {task: demo.log, args: [late], needs: [{node: paid, when: timeout}]}
"""


def test_a_definition_waits_for_events_too():
    Recipe(TEXT).check()
    graph = Recipe(TEXT).build().graph
    nodes = {one.key: one for one in graph.nodes}
    assert (nodes["paid"].kind, nodes["paid"].label) == ("event", "The payment")
    assert nodes["paid"].options == {"about": "The payment", "timeout": 60.0}
    assert nodes["remind"].parents == [(nodes["paid"].index, 3)]
    assert nodes["ship"].parents == [(nodes["paid"].index, 0)]


def test_only_an_event_can_be_late():
    workflow = new_workflow()
    first = workflow.add_signature(signature(), key="first")
    second = workflow.add_signature(signature(), key="second")
    with pytest.raises(WorkflowException, match="“first” waits for no event"):
        second.add_dependency(first, {"when": "timeout"})
    with pytest.raises(WorkflowException, match="0 or more"):
        workflow.wait_for("x", timeout=-1)
