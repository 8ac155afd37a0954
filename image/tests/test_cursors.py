"""Where a page of a list begins: what no page has given is refused everywhere, by pages as by the API."""

import math
import re

import pytest

from image.tests.reads import names_read
from image.tests.routes import routes
from image.tests.test_hidden import text_of
from image.tests.world import let_go
from jobroom.jobs.models import Job, State
from jobroom.queues.compatibility import check_waiting
from jobroom.queues.views import compatibility
from jobroom.testing.tiers import share, takes_all
from jobroom.workflows.tests.stored import chain, store

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]

# Under these names the addresses of lists say where a page begins.
NAMES = ("after", "before", "cursor", "items", "page", "rows")
# Two of which every list takes one, of each kind that there is; they leave out everything that there is.
TAKEN = ("0001-01-02T00:00:00+00:00~00000000-0000-0000-0000-000000000000", "1")
NONSENSE = ("x", "-1", "9" * 30, "9999-12-31T23:59:59-23:59~x", "2026-01-01T00:00:00~x", "~", "cD14", "[]")
LISTS = {
    "jobs/": "before", "api/jobs/": "before", "workflows/": "before", "api/workflows/": "before",
    "mails/": "before", "api/mails/": "before", "assets/": "before", "api/assets/": "cursor",
    "submissions/": "before", "submissions/<int:submission_id>/": "after", "text/models/": "before",
    "presets/": "before", "dead-letters/": "before", "api/dead-letters/": "before", "audit/": "before",
    "failures/": "before", "api/failures/": "before",
    "api/text/models/": "cursor", "api/jobs/<str:job_id>/events/": "after",
}  # fmt: skip


def test_every_list(world, boss):
    """Which addresses take a place is found by asking: the answer with one is another than without."""
    found, asked = set(), share(routes())
    for route in asked:
        if route.pattern.startswith("admin/") or "logout" in route.pattern or "GET" not in route.methods:
            continue
        address = route.filled(world.values(route))
        with names_read(NAMES) as read:
            plain = seen(boss.get(address))
        if not read or all(seen(boss.get(address, dict.fromkeys(NAMES, place))) == plain for place in TAKEN):
            continue  # it looks at none of them
        for name in sorted(read):  # what a page does with one name to which it is blind is what it does without
            if any(looks_at(boss, address, {name: place}, plain) for place in TAKEN):
                found.add((route.pattern, name))
                if not route.pattern.startswith("schedules/"):  # by name: every text is a place; forms keep the query
                    viewers(boss, address, name)
    patterns = {route.pattern for route in asked}
    listed = {(pattern, name) for pattern, name in LISTS.items() if takes_all() or pattern in patterns}
    assert found >= listed, "Is there no such list any more, or does it not look at the place?"


def looks_at(client, address, query, plain, rounds=3):
    """Return whether answers with the query are others than all without it: `plain`, and those that come between them.

    An answer may change by itself: the first one to a cold process may have had no time to look at everything, and says so.
    """
    without = {plain}
    for _ in range(rounds):
        placed = seen(client.get(address, query))
        if placed in without or placed in (without := {*without, seen(client.get(address))}):
            return False
    return True


def test_an_answer_that_changes_by_itself_looks_at_no_place(boss, monkeypatch):
    """The page of what waits looks for so many seconds: the first request to a busy machine may not see everything."""
    budgets = iter([-1.0])  # of the first request; all others have time enough
    monkeypatch.setattr(compatibility, "check_waiting", lambda seconds: check_waiting(seconds=next(budgets, math.inf)))
    plain, query = seen(boss.get("/doctor/waiting/")), {"after": "1"}
    assert seen(boss.get("/doctor/waiting/", query)) != plain
    assert not looks_at(boss, "/doctor/waiting/", query, plain)
    places = [looks_at(boss, "/audit/", {"before": place}, seen(boss.get("/audit/"))) for place in TAKEN]
    assert any(places)


def seen(answer):
    status, text, _ = text_of(let_go(answer), [])
    return status, re.sub(r"\d+", "#", text)  # clocks go on; a list that begins elsewhere loses more than numbers


def viewers(client, address, name, **others):
    for nonsense in NONSENSE:
        answer = let_go(client.get(address, {name: nonsense, **others}))
        assert answer.status_code == 400, f"{address}?{name}={nonsense}: {answer.status_code}"
        if address.startswith("/api/"):
            assert name in answer.json()["errors"]
        else:
            assert b"To the first page" in answer.content


@pytest.mark.parametrize(("tab", "name"), [("nodes", "page"), ("grid", "rows")])
def test_lists_in_the_tabs_of_a_workflow(boss, tab, name):
    flow = store(chain(3), "sss", name="long", state="SUCCESS")
    address = f"/workflows/{flow.pk}/"
    viewers(boss, address, name, tab=tab)
    # One beyond the end is no nonsense: what was shared may have become shorter.
    assert boss.get(address, {name: "99", "tab": tab}).status_code == 200


def test_a_place_of_something_that_is_gone_is_still_a_place(boss):
    Job.objects.create(id="a-job", task="demo.echo", state=State.SUCCEEDED)
    for address in ("/jobs/", "/api/jobs/", "/workflows/", "/api/workflows/"):
        assert boss.get(address, {"before": "2200-01-01T00:00:00+00:00~gone"}).status_code == 200
