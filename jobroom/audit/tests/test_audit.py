"""The audit is added to and never changed; staff read it, filter it and take it away."""

import csv
import io
import json

import pytest

from jobroom.audit.exceptions import AppendOnly
from jobroom.audit.models import Act
from jobroom.signals import acted

pytestmark = pytest.mark.django_db


def done(who="grace", **values) -> Act:
    acted.send(sender=None, who=who, **{"action": "purged", "kind": "queue", "target": "default", **values})
    return Act.objects.order_by("-pk")[0]


@pytest.fixture
def as_staff(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("clerk", is_staff=True))
    return client


@pytest.mark.parametrize(
    "change",
    [
        lambda act: act.save(),
        lambda act: act.delete(),
        lambda act: Act.objects.update(who="me"),
        lambda act: Act.objects.all().delete(),
    ],
)
def test_an_act_is_neither_changed_nor_removed(change):
    act = done()
    with pytest.raises(AppendOnly, match="added to, and not changed"):
        change(act)
    assert Act.objects.get().who == "grace"


def test_it_is_filtered_by_what_the_address_says(as_staff):
    done(reason="a wrong model")
    done("ada", kind="lock", target="import", action="broke")
    page = as_staff.get("/audit/?kind=lock").content.decode()
    assert "import" in page
    assert "a wrong model" not in page
    assert "a wrong model" in as_staff.get("/audit/?q=wrong").content.decode()
    assert as_staff.get("/api/audit/?who=ada").json()["results"][0]["action"] == "broke"


def test_all_pages_together_hold_each_act_once(as_staff):
    for number in range(120):
        done(target=str(number))
    found, address = [], "/api/audit/"
    while address:
        page = as_staff.get(address).json()
        found += [row["target"] for row in page["results"]]
        address = page["next"]
    assert found == [str(number) for number in reversed(range(120))]


def test_a_file_holds_all_that_match_and_no_formula(as_staff):
    done(target="=1+1")
    done("ada")
    text = b"".join(as_staff.get("/audit/export.csv?who=grace").streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["who"], row["target"]) for row in rows] == [("grace", "'=1+1")]
    acts = json.loads(b"".join(as_staff.get("/audit/export.json").streaming_content))
    assert [act["who"] for act in acts] == ["ada", "grace"]
    assert json.loads(b"".join(as_staff.get("/audit/export.json?who=x").streaming_content)) == []


def test_it_is_for_staff(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("ada"))
    assert client.get("/audit/").status_code == 403
    assert client.get("/api/audit/").status_code == 403
