"""Who promotes or rolls back by a page or list that others have made old meanwhile is shown both, and nothing is changed."""

import re
from html import unescape

import pytest

from text.models import SpamModel

PROMOTE, BACK = "/text/models/2/promote/", "/text/models/roll-back/"


def seen(client, address):
    return re.search(r'name="version" value="([^"]*)"', client.get(address).content.decode())[1]


def works():
    return SpamModel.objects.promoted().version


@pytest.fixture
def three(version):
    version(promoted=True), version(), version()


@pytest.mark.parametrize("address", [PROMOTE, BACK])
def test_the_page(admin_client, three, address):
    read = seen(admin_client, "/text/models/2/")
    admin_client.post("/text/models/3/promote/")  # by another person
    answer = admin_client.post(address, {"version": read})
    text = unescape(answer.content.decode())
    assert answer.status_code == 409
    assert "The model that works was changed meanwhile" in text
    assert ">version 3</td>" in text
    assert works() == 3
    again = re.search(r'name="version" value="([^"]*)"', text)[1]
    assert admin_client.post(PROMOTE, {"version": again}).status_code == 303
    assert works() == 2


@pytest.mark.parametrize("address", [PROMOTE, BACK])
def test_the_api(admin_client, three, address):
    read = admin_client.get("/api/text/models/")["ETag"]
    admin_client.post("/api/text/models/3/promote/")  # by another person
    answer = admin_client.post(f"/api{address}", headers={"If-Match": read})
    assert answer.status_code == 412
    assert answer["Content-Type"].startswith("application/problem+json")
    assert works() == 3
    now = admin_client.get("/api/text/models/")["ETag"]
    assert now != read
    assert admin_client.post(f"/api{address}", headers={"If-Match": now}).status_code == 200
