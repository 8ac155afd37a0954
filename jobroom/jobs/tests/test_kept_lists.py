"""Views of the list of jobs: kept by each person under a name, shared as an address."""

import pytest

from jobroom.jobs.models import Profile
from jobroom.jobs.views.kept_lists import MOST, views_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]


def keep(client, name, query):
    answer = client.post("/jobs/views/", {"name": name, "query": query}, follow=True)
    return answer, " ".join(str(message) for message in answer.context["messages"])


def test_a_view_is_kept_opened_and_dropped(as_ada, ada):
    answer, said = keep(as_ada, " My  failures ", "?state=failed&sort=-took&nonsense=1")
    assert "Kept as “My failures”" in said
    assert views_of(ada) == [("My failures", "?state=failed&sort=-took")]
    assert answer.redirect_chain[-1][0] == "/jobs/?state=failed&sort=-took"
    page = answer.content.decode()
    assert 'href="/jobs/?state=failed&amp;sort=-took" aria-current="true">My failures</a>' in page
    as_ada.post("/jobs/views/drop/", {"name": "My failures"})
    assert views_of(ada) == []


def test_a_name_is_never_given_to_another_list(as_ada, ada):
    keep(as_ada, "mine", "?state=failed")
    _, said = keep(as_ada, "mine", "?state=lost")
    assert "Choose another name" in said
    keep(as_ada, "mine", "?state=failed")  # the same again is no other
    assert views_of(ada) == [("mine", "?state=failed")]


def test_what_cannot_be_kept_is_said(as_ada, ada):
    assert "give the view a name" in keep(as_ada, " ", "?state=failed")[1]
    Profile.objects.create(user=ada, views=[[f"v{n}", "?q=x"] for n in range(MOST)])
    assert "Drop one first" in keep(as_ada, "one more", "?state=failed")[1]


def test_a_view_is_of_one_person(as_ada, ada, staff, client):
    keep(as_ada, "mine", "?state=failed")
    client.force_login(staff)
    assert "mine" not in client.get("/jobs/").content.decode()
