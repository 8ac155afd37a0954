"""A workflow in a real browser, with a real worker: watched, resumed, decided, without loading the page again."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import expect

from jobroom import redis
from jobroom.live.publish import publish
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running
from jobroom.workflows.graph import Kind
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.tests.stored import chain, layers, store
from jobroom.workflows.workflows import Workflow
from tests.acceptance import workflow_tasks as tasks
from tests.browser.conftest import PHONE, opened

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]


def eight_nodes():
    """Begin a workflow with a node that fails until someone sets a key, and one that asks a person."""
    workflow = Workflow(name="Publish")
    first = workflow.add_signature(tasks.count.si("first"), key="first")
    checks = [
        workflow.add_signature(tasks.count.si(f"check {n}"), [first], key=f"check {n}", group=["checks"])
        for n in (1, 2)
    ]
    shaky = workflow.add_signature(tasks.fail_unless.si("disk"), checks, key="shaky")
    link = workflow.add_signature(tasks.count.si("link"), key="link")
    link.add_dependency(shaky, {"when": "failure"})
    asked = workflow.add_approval("publish?", [shaky], question="Publish it?", groups=["editors"])
    published = workflow.add_signature(tasks.count.si("published"), [asked], key="published")
    workflow.add_signature(tasks.count.si("last"), [published], key="last")
    workflow.apply_async(owner=User.objects.get(username="grace"))
    return StoredWorkflow.objects.get(pk=workflow.id)


def test_a_workflow_is_watched_resumed_and_decided(page):
    with running(Worker(app="tests.acceptance.workflow_tasks"), Recorder()):
        stored = eight_nodes()
        page.goto(f"/workflows/{stored.pk}/")
        page.evaluate("window.untouched = true")
        node = page.locator("a.node", has_text="shaky")
        expect(node).to_have_class("node kind-task state-failed")
        expect(page.locator(".heading .state-failed")).to_be_visible()
        node.click()
        panel = page.locator("#workflow-panel")
        expect(panel).to_contain_text("disk is not set")
        assert "node=shaky" in page.url
        expect(page.locator("a.node", has_text="published")).to_contain_text("Blocked")
        assert page.evaluate("window.untouched"), "the page was loaded again"

        # The end of the workflow is known before the ends of all its nodes are.
        wait_until(lambda: StoredWorkflow.objects.get().node_states == "sssfsbbb", 90, "the database has it all")
        page.get_by_role("link", name="Resume…").click()
        expect(page.get_by_text("1 node runs again")).to_be_visible()
        expect(page.get_by_text("3 results are kept")).to_be_visible()
        redis.client().set("flow:ok:disk", 1)
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_text("Publish it?").first).to_be_visible()
        page.get_by_label("Comment").fill("Looks fine")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("“publish?” is approved.")).to_be_visible()
        expect(page.locator("a.node", has_text="last")).to_contain_text("Succeeded")
        expect(page.locator("#workflow-head .heading .state-succeeded")).to_be_visible()
        page.goto(f"/workflows/{stored.pk}/?tab=result")
        expect(page.get_by_text("grace approved it: Looks fine.")).to_be_visible()
    ran = {key: int(number) for key, number in redis.client().hgetall("flow:ran").items()}
    assert ran == {"first": 1, "check 1": 1, "check 2": 1, "link": 1, "published": 1, "last": 1}


def test_a_message_that_comes_before_the_script_of_the_page_replaces_nothing(page):
    """On a slow machine the socket was quicker than the script, which then went on with a picture that was there no more."""
    stored = store(chain(3), "srw")
    topic, held, heard = f"workflow:{stored.pk}", [], []
    page.route(re.compile(r"/js/workflow(\.\w+)?\.js"), lambda route: held.append(route))  # noqa: PLW0108 — it must be a function of ours
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: heard.append(frame)))  # noqa: PLW0108
    page.goto(f"/workflows/{stored.pk}/", wait_until="commit")
    expect(page.locator("html")).to_have_attribute("data-live", "on")
    page.evaluate("document.getElementById('workflow').mine = true")

    def is_heard():
        publish([(topic, {"type": "changed", "seq": 2**50})])
        page.wait_for_timeout(100)
        return any('"changed"' in str(frame) for frame in heard)

    wait_until(is_heard, 60, "the page has the message")
    page.wait_for_timeout(1000)  # longer than a page waits before it replaces a region
    assert page.evaluate("document.getElementById('workflow').mine"), "the region was replaced"
    assert held
    held.pop().continue_()
    page.unroute_all(behavior="wait")
    page.wait_for_load_state()
    page.evaluate("window.untouched = true")
    page.locator("#n1").click()
    expect(page.locator("#panel-title")).to_have_text("k1")
    assert page.evaluate("window.untouched"), "the page was loaded again"


def test_without_a_socket_the_page_asks_by_itself(page):
    page.route_web_socket("**/ws/live/", lambda socket: socket.close())
    stored = store(chain(3), "srw")
    page.goto(f"/workflows/{stored.pk}/")
    expect(page.locator("#n1")).to_contain_text("Running")
    stored.set_node_states("ssr")
    stored.save(update_fields=["node_states", "counts"])
    expect(page.locator("#n1")).to_contain_text("Succeeded")
    expect(page.locator("#n2 .mark")).to_have_attribute("href", "#icon-running")
    expect(page.locator("[data-rollup-ended]")).to_have_text("2")


def test_a_panel_that_fails_once_is_asked_for_again_and_a_late_one_is_dropped(page):
    page.expects_troubles = True
    stored = store(chain(3), "sss")
    page.goto(f"/workflows/{stored.pk}/")
    page.evaluate("window.untouched = true")
    page.route("**/*part=panel*", lambda route: route.abort(), times=1)
    page.locator("#n0").click()
    expect(page.locator("#panel-title")).to_have_text("k0")
    held = []
    page.route("**/*node=k1&part=panel*", lambda route: held.append(route), times=1)  # noqa: PLW0108 — it must be a function of ours
    page.locator("#n1").click()
    page.locator("#n2").click()
    expect(page.locator("#panel-title")).to_have_text("k2")
    with page.expect_response("**/*node=k1&part=panel*"):
        held[0].continue_()
    page.evaluate("() => new Promise(requestAnimationFrame)")
    expect(page.locator("#panel-title")).to_have_text("k2")
    assert page.evaluate("window.untouched"), "the page was loaded again"


def test_the_keyboard_walks_along_the_edges(page):
    stored = store(chain(4), "srww")
    page.goto(f"/workflows/{stored.pk}/")
    page.locator("#n0").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#n2")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#panel-title")).to_have_text("k1")
    before = page.locator("#graph").get_attribute("viewBox")
    page.locator("#n1").focus()
    page.keyboard.press("+")
    assert page.locator("#graph").get_attribute("viewBox") != before
    page.keyboard.press("Escape")
    expect(page.locator("#workflow-panel")).to_be_hidden()
    assert "node=" not in page.url
    page.go_back()
    expect(page.locator("#panel-title")).to_have_text("k1")


def test_following_ends_when_someone_moves_the_picture(page):
    stored = store(layers(300, 3), "s" * 240 + "rrr" + "w" * 57, jobs=False)
    page.goto(f"/workflows/{stored.pk}/")
    follow = page.get_by_role("button", name="Follow what runs")
    expect(page.locator("#n240")).not_to_be_in_viewport()
    follow.click()
    expect(follow).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#n241")).to_be_in_viewport()
    frame = page.locator("[data-graph]").bounding_box()
    page.mouse.move(frame["x"] + 30, frame["y"] + 30)
    page.mouse.down()
    page.mouse.move(frame["x"] + 330, frame["y"] + 60, steps=4)
    page.mouse.up()
    expect(follow).to_have_attribute("aria-pressed", "false")


@pytest.mark.parametrize("query", ["", "?tab=timeline", "?tab=grid", "?tab=nodes", "?tab=result", "?node=k1"])
def test_pages_fit_a_phone_in_light_and_dark(page, query):
    stored = store(chain(6), "sfbbbb", name="a-word-without-a-place-to-break-" * 5, state="FAILURE")
    since = timezone.now() - timedelta(minutes=12, seconds=34)
    StoredWorkflow.objects.filter(pk=store(chain(3), "rbb", name="goes-on").pk).update(started_at=since)
    page.set_viewport_size(PHONE)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for path in (f"/workflows/{stored.pk}/{query}", "/workflows/"):
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            # What a frame cuts off makes no page wider.
            ends = "[...document.querySelectorAll('.rows td')].map((cell) => cell.getBoundingClientRect().right)"
            assert max(page.evaluate(ends), default=0) <= PHONE["width"]
        expect(page.locator(".who-name")).to_be_visible()


def test_a_comment_in_the_making_is_not_taken_away(page):
    graph = chain(2)
    graph.nodes[0].kind, graph.nodes[0].task = Kind.APPROVAL, ""
    stored = store(graph, "aw", jobs=False)
    page.goto(f"/workflows/{stored.pk}/")
    comment = page.get_by_label("Comment")
    comment.fill("Half a sent")
    StoredWorkflow.objects.filter(pk=stored.pk).update(error="Something went wrong meanwhile", node_states="ar")
    expect(page.locator("#n1")).to_contain_text("Running")
    expect(comment).to_have_value("Half a sent")
    comment.blur()
    expect(page.get_by_text("Something went wrong meanwhile")).to_be_visible()


def test_an_event_is_confirmed_by_anyone_who_holds_a_link(page, browser, site, tmp_path):
    workflow = Workflow(name="Order")
    paid = workflow.wait_for("payment", about="The payment of order 7", timeout=3600)
    late = workflow.add_signature(tasks.count.si("late"), key="remind")
    late.add_dependency(paid, {"when": "timeout"})
    workflow.add_signature(tasks.count.si("ship"), [paid], key="ship")
    with running(Recorder()):
        workflow.apply_async(owner=User.objects.get(username="grace"))
        wait_until(lambda: "0" in StoredWorkflow.objects.get(pk=workflow.id).waiting_since, 60)
    page.goto(f"/workflows/{workflow.id}/?node=payment")
    panel = page.locator("#workflow-panel")
    expect(panel).to_contain_text("then it ends as not in time")
    page.screenshot(path=tmp_path / "waits.png")
    panel.get_by_role("button", name="Make a link").click()
    link = page.get_by_role("status").filter(has_text="Anyone who has this link").inner_text()
    troubles = []
    with opened(browser, viewport=PHONE, color_scheme="dark") as context:
        stranger = context.new_page()
        stranger.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        stranger.goto(link.split()[-1])
        expect(stranger.get_by_role("heading", name="The payment of order 7")).to_be_visible()
        assert stranger.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        stranger.screenshot(path=tmp_path / "confirm.png")
        stranger.get_by_role("button", name="Confirm").click()
        expect(stranger.get_by_role("status").filter(has_text="it is confirmed")).to_be_visible()
    assert troubles == []
    page.goto(f"/workflows/{workflow.id}/?node=payment")
    expect(page.locator("#workflow-panel")).to_contain_text("Delivered by the holder of a link.")
    page.screenshot(path=tmp_path / "done.png")
