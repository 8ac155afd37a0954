"""Who is no staff meets a page that helps, and not the same log-in again and again."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_ada():
    client = Client()
    client.force_login(User.objects.create_user("ada"))
    return client


@pytest.mark.parametrize(
    "address", ["/admin/", "/admin/login/?next=/admin/", "/admin/jobroom_jobs/job/", "/admin/nothing/"]
)
def test_who_is_no_staff_is_offered_to_ask_for_access(as_ada, address):
    answer = as_ada.get(address)
    page = answer.content.decode()
    assert answer.status_code == 403
    assert "The administration is for staff of this site" in page
    assert 'value="open this page"' in page


def test_who_is_not_logged_in_logs_in_and_may_do_so_in_place_of_another(as_ada):
    answer = Client().get("/admin/jobroom_jobs/job/")
    assert answer.url == "/admin/login/?next=/admin/jobroom_jobs/job/"
    User.objects.create_superuser("grace", password="hopper")
    given = {"username": "grace", "password": "hopper", "next": "/admin/"}
    assert as_ada.post("/admin/login/", given).url == "/admin/"
    assert as_ada.get("/admin/").status_code == 200
    assert Client().get("/admin/login/").status_code == 200


def test_who_is_no_staff_logs_out(as_ada):
    assert as_ada.post("/admin/logout/").status_code in {200, 302}
