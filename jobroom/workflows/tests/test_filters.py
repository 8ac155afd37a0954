"""The list of workflows: filters in the address, pages without end, nothing of others."""

from datetime import timedelta

import pytest
from django.http import QueryDict
from django.utils import timezone

from jobroom.jobs.lists import PAGE
from jobroom.web.cursors import WrongCursor
from jobroom.workflows.filters import WorkflowFilter
from jobroom.workflows.models import State, StoredWorkflow
from jobroom.workflows.tests.stored import chain, store

pytestmark = [pytest.mark.django_db, pytest.mark.sql]


def found(user, **query):
    return [one.name for one in WorkflowFilter(query, user).rows]


def test_each_part_of_the_address_narrows_the_list(staff, ada):
    store(chain(1), "s", name="alpha", state=State.SUCCESS, owner=ada)
    store(chain(1), "f", name="beta", state=State.FAILURE, owner=staff, error="Disk full")
    store(chain(1), "r", name="alphabet", note="for Tuesday")
    assert found(staff, state="FAILURE") == ["beta"]
    assert found(staff, state="success") == ["alpha"]
    assert found(staff, name="alpha") == ["alpha"]
    assert found(staff, owner="me") == ["beta"]
    assert found(staff, owner="ada") == ["alpha"]
    assert found(staff, owner="nobody") == []
    assert found(staff, q="ALPHA") == ["alphabet", "alpha"]
    assert found(staff, q="disk full") == ["beta"]
    assert found(staff, q="tuesday") == ["alphabet"]
    assert found(ada) == ["alpha"]


def test_an_id_is_found_among_all(staff):
    stored = store(chain(1), "s", name="one")
    store(chain(1), "s", name=stored.pk)
    assert found(staff, q=stored.pk) == ["one"]


def test_nonsense_is_ignored(staff):
    store(chain(1), "s", name="one")
    assert found(staff, state="no", before="", owner="", q="  ") == ["one"]
    assert found(staff, name="\x00one") == ["one"]


@pytest.mark.parametrize("place", ["no~", "9999-99-99~x", "2026-01-01T00:00:00~x"])
def test_a_place_that_no_page_has_given_is_refused(staff, place):
    with pytest.raises(WrongCursor):
        WorkflowFilter({"before": place}, staff)


def test_pages_follow_each_other_without_gap_or_repeat(staff):
    now = timezone.now()
    # Several of one moment, also across the end of a page.
    made = [
        StoredWorkflow(name=f"{n}", graph="{}", created_at=now - timedelta(seconds=n // 4)) for n in range(PAGE * 2 + 3)
    ]
    StoredWorkflow.objects.bulk_create(made)
    seen, query = [], ""
    while True:
        page = WorkflowFilter(QueryDict(query.lstrip("?")).dict(), staff)
        seen += [one.pk for one in page.rows]
        if not page.next_link:
            break
        query = page.next_link
    assert len(seen) == len(made)
    assert set(seen) == {one.pk for one in made}
    assert WorkflowFilter(QueryDict(query.lstrip("?")).dict(), staff).newest_link == "?"
