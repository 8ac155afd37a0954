"""Every page that the site has, as axe sees it (WCAG 2.2 AA): on a computer in light and dark, and on a phone.

The pages come from Django itself in this process, so nothing is started but Chromium.
"""

from pathlib import Path

import pytest
from django.utils import timezone

from image.tests import world as making
from image.tests.routes import routes
from jobroom import redis
from jobroom.jobs import durations
from jobroom.jobs.models import Attempt, Job, LogLine, Profile, State
from jobroom.testing.tasks import made_task
from tests.browser.conftest import DESKTOP, PHONE

pytestmark = [pytest.mark.browser, pytest.mark.django_db, pytest.mark.timeout(1160)]

AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text()
RUN = """async (rules) => {
    const only = rules ? { type: "rule", values: rules } : { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] };
    const { violations } = await axe.run(document, { runOnly: only, resultTypes: ["violations"] });
    return violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map((node) => `${node.target.join(" ")} — ${node.any.concat(node.all).map((one) => one.message).join("; ").slice(0, 160)}`)]);
}"""
# A colour on its way from light to dark is no colour of the page.
STILL = """() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("*, *::before, *::after { transition: none !important; animation: none !important; }");
    document.adoptedStyleSheets.push(sheet);
}"""
STYLED = "[...document.querySelectorAll('link[rel=stylesheet]')].every((link) => link.sheet?.cssRules.length)"
# Addresses that are no page, or not one to be looked at.
NO_PAGE = (
    "api/",
    "healthz",
    "readyz",
    "logout",
    "admin/logout",
    "admin/jsi18n",
    "jobs/export",
    "audit/export",
    "admin/autocomplete",
    "admin/r/",
    "health/line",
    "schedules/preview",
)
# Each has something that the others have not: two dates, a form of ours, many to many, text that is only shown, buttons.
SOME_MODELS = tuple(
    f"admin/{name}/"
    for name in (
        "auth/user",
        "auth/group",
        "django_celery_beat/periodictask",
        "jobroom_jobs/job",
        "jobroom_jobs/taskrule",
        "jobroom_notifications/mail",
        "jobroom_workflows/definition",
        "biosample/submission",
    )
)


def nothing():
    """Do nothing, with a name that no line has room for."""


@pytest.fixture
def world(db, tmp_path, settings):
    """Return one of everything, and a few jobs that show what pages have."""
    settings.MEDIA_ROOT = tmp_path
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
    redis.client().flushdb()
    world = making.build()
    jobs(world.people["boss"])
    with made_task(nothing, name=f"scratch.{'a_name_without_end_' * 6}"):
        yield world
    redis.client().flushdb()


def jobs(boss):
    now = timezone.now()
    trace = f'Traceback (most recent call last):\n  File "{Path(__file__).parents[2]}/demo/tasks.py", line 1, in run\n    """Tasks.\nValueError: no\n'
    kinds = {
        "ok": State.SUCCEEDED,
        "bad": State.FAILED,
        "runs": State.RUNNING,
        "waits": State.QUEUED,
        "gone": State.LOST,
    }
    for name, state in kinds.items():
        over = state in (State.SUCCEEDED, State.FAILED, State.LOST)
        job = Job.objects.create(
            id=f"job-{name}", task="demo.echo", state=state, owner=boss, label=f"text={name}", queued_at=now,
            started_at=None if state == State.QUEUED else now, finished_at=now if over else None, worker="default@here",
            result={"rows": [{"name": "a", "size": 1}], "share": 0.5, "more": {"deep": [1]}} if name == "ok" else None,
            error="no" if name == "bad" else "", error_type="ValueError" if name == "bad" else "",
            traceback=trace if name == "bad" else "", queue="default", attempts=1, tags=["red"], note="why",
        )  # fmt: skip
        Attempt.objects.create(
            job=job, execution=name, state=state, started_at=job.started_at, finished_at=job.finished_at
        )
        LogLine.objects.create(id=hash(name) % 10_000, job=job, at=now, level="warning", message="a line")
    slot = {
        "begin": int(now.timestamp()) // 300 * 300,
        "minutes": durations.FINE,
        "task": "demo.echo",
        "queue": "default",
    }
    durations.add({durations.Key(**slot, owner=0, what=what, bucket=40): 3 for what in ("wait", "took")})
    Profile.objects.create(user=boss, pinned=["demo.echo"], views=[["Failures", "?state=failed"]])


def addresses(world, *, all_cases):
    """Return every page, and those that show more by what their address asks for.

    Of the admin, whose pages Django makes alike, those of some models are enough for each change.
    """
    found = {}
    for route in routes():
        if route.pattern.startswith(NO_PAGE) or "GET" not in route.methods or "\\" in route.pattern:
            continue
        # Of Django's own pages, which are the same for every model, those of one model.
        if route.pattern.endswith(("/history/", "/delete/")) and not route.pattern.startswith("admin/auth/group/"):
            continue
        of_a_model = route.pattern.startswith("admin/") and route.pattern.count("/") > 2
        if of_a_model and not all_cases and not route.pattern.startswith(SOME_MODELS):
            continue
        found[route.pattern] = route.filled(world.values(route))
    more = [f"/jobs/job-{name}/" for name in ("ok", "bad", "runs", "waits", "gone")]
    more += ["/jobs/?state=failed&sort=-took", "/jobs/?q=nothing", "/tasks/demo.every_field/?note=x", "/nowhere/"]
    more += [
        f"/workflows/{world.things['workflow_id'].pk}/?tab={tab}"
        for tab in ("timeline", "grid", "nodes", "result", "events")
    ]
    more += [f"/workflows/{world.things['workflow_id'].pk}/?node=k0", "/tasks/demo.echo/?from-job=job-ok"]
    more += [
        f"/schedules/{world.things['schedule_id'].pk}/backfill/?since=2026-01-01&until=2026-01-02&which=all&at_once=1"
    ]
    return list(found.values()) + more


@pytest.mark.long
def test_axe_finds_nothing_on_any_page(pages, world, all_cases):
    page, client = pages.page, world.clients["boss"]
    pages.answers["/admin/jsi18n/"] = (200, client.get("/admin/jsi18n/").content, "text/javascript")
    wrong, seen = [], 0
    for address in addresses(world, all_cases=all_cases):
        got = pages.fetched(client, address)
        assert got.status_code < 500, address
        if "text/html" not in got.headers.get("Content-Type", "") or got.status_code in (301, 302, 405):
            continue
        seen += 1
        page.set_viewport_size(DESKTOP)
        page.emulate_media(color_scheme="light")
        page.goto(address)
        if not page.evaluate(STYLED):  # a busy machine gives a file up now and then
            page.reload()
            assert page.evaluate(STYLED), f"{address} has no style"
        page.evaluate("for (const one of document.querySelectorAll('main details:not(.dates)')) one.open = true")
        page.evaluate(STILL)
        page.evaluate(AXE)
        wrong += [f"{address}: {rule}: {places}" for rule, places in page.evaluate(RUN, None)]
        page.emulate_media(color_scheme="dark")
        wrong += [f"{address} (dark): {rule}: {places}" for rule, places in page.evaluate(RUN, ["color-contrast"])]
        if not address.startswith("/admin/"):
            page.set_viewport_size(PHONE)
            wrong += [f"{address} (phone): {rule}: {places}" for rule, places in page.evaluate(RUN, ["target-size"])]
            wide = page.evaluate("document.documentElement.scrollWidth")
            wrong += [f"{address} (phone): {wide} px wide"] if wide > PHONE["width"] else []
    assert seen > 60, "Where are all the pages?"
    assert not wrong, "\n".join(wrong)
