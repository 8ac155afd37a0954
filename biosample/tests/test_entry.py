"""Submissions are added, changed and marked as submitted on pages of our own."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Permission
from django.http import QueryDict

from biosample.forms import records_of
from biosample.models import Record, Submission
from biosample.states import State
from jobroom.audit.models import Act

pytestmark = [pytest.mark.django_db, pytest.mark.sql]
NEW = "/submissions/new/"


@pytest.fixture
def boss(client, django_user_model):
    user = django_user_model.objects.create_superuser("sara", "sara@example.org")
    client.force_login(user)
    return user


def sent_back(page):
    """Return what a browser would send of the form on a page."""
    found = {}
    for tag in re.findall(r"<input [^>]*>", page):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and 'type="checkbox"' not in tag and name[1] != "csrfmiddlewaretoken":
            found[name[1]] = unescape(value[1]) if value else ""
    for name, options in re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', page, re.S):
        chosen = re.search(r'value="([^"]*)" selected', options)
        found[name] = chosen[1] if chosen else ""
    return found


def opened(client, address):
    return sent_back(client.get(address).content.decode())


def test_a_submission_is_added_with_its_records(client, boss, owner):
    assert NEW in client.get("/submissions/").content.decode()
    data = opened(client, NEW)
    assert data["owner"] == "sara"
    data |= {"title": "Cows", "owner": "olga", "records-0-alias": "one", "records-0-species": "cattle"}
    answer = client.post(NEW, data | {"records-1-alias": "two", "records-1-kind": "animal"})
    made = Submission.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/submissions/{made.pk}/")
    assert (made.title, made.owner, made.state) == ("Cows", owner, State.WAITING)
    assert list(made.records.values_list("alias", "kind", "species")) == [
        ("one", "sample", "cattle"),
        ("two", "animal", ""),
    ]
    act = Act.objects.get(kind="submission")
    assert (act.who, act.action, act.outcome) == ("sara", "added", "2 records added")


def test_what_is_wrong_is_said_and_nothing_typed_is_lost(client, boss, make_submission):
    make_submission("taken")
    data = opened(client, NEW) | {"title": "", "owner": "ollga", "usi_name": "taken", "records-0-alias": "one"}
    answer = client.post(NEW, data | {"records-1-alias": "one", "records-2-species": "goat"})
    page = unescape(answer.content.decode())
    assert answer.status_code == 422
    for reason in (
        "Give the submission a title.",
        "No one logs in with this name.",
        "Another submission has this name in USI",
        "Two records have the same alias",
    ):
        assert reason in page
    kept = sent_back(page)
    assert {kept["owner"], kept["usi_name"], kept["records-0-alias"]} == {"ollga", "taken", "one"}
    again = client.post(NEW, data | {"title": "T", "owner": "olga", "usi_name": "", "records-2-species": "goat"})
    assert "Give the record an alias" in again.content.decode()
    assert Submission.objects.count() == 1


def test_more_rows_save_nothing_and_lose_nothing(client, boss):
    data = opened(client, NEW) | {"records-2-alias": "third", "more": "1"}
    answer = client.post(NEW, data)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "error-line" not in page
    kept = sent_back(page)
    assert (kept["records-TOTAL_FORMS"], kept["records-2-alias"], kept["records-5-alias"]) == ("6", "third", "")
    assert client.post(NEW, data | {"records-TOTAL_FORMS": "x"}).status_code == 200
    del data["more"]
    assert client.post(NEW, data | {"records-TOTAL_FORMS": "-1"}).status_code == 422
    for number in ("9" * 30, "1000000"):
        given = QueryDict(mutable=True)
        given.update(data | {"records-TOTAL_FORMS": number})
        assert records_of(Submission(), given).total_form_count() == 201
    assert not Submission.objects.exists()


def test_of_two_who_change_a_submission_the_second_sees_both(client, boss, owner):
    row = Submission.objects.create(owner=owner, title="Cows")
    Record.objects.create(submission=row, alias="first", species="Bos taurus")
    address = f"/submissions/{row.pk}/edit/"
    data = opened(client, address)
    assert client.post(address, data | {"title": "Bulls", "records-0-alias": "theirs"}).status_code == 303
    answer = client.post(address, data | {"title": "Calves", "records-0-alias": "mine"})
    page = unescape(answer.content.decode())
    assert answer.status_code == 422
    assert "Stored now: Bulls" in page
    assert "Stored now: theirs" in page
    row.refresh_from_db()
    assert (row.title, row.records.get().alias) == ("Bulls", "theirs")
    assert client.post(address, sent_back(page)).status_code == 303
    row.refresh_from_db()
    assert (row.title, row.records.get().alias, row.owner) == ("Calves", "mine", owner)


def test_a_record_is_deleted_and_what_the_machine_wrote_stays(client, boss, owner):
    row = Submission.objects.create(owner=owner, title="Cows")
    stays, goes = (Record.objects.create(submission=row, alias=alias) for alias in ("a", "b"))
    address = f"/submissions/{row.pk}/edit/"
    data = opened(client, address)
    Record.objects.filter(pk=stays.pk).update(state=State.ERROR)
    Submission.objects.filter(pk=row.pk).update(problem="USI is away")
    data |= {"title": "Bulls", "records-0-breed": "Holstein", "records-1-DELETE": "on"}
    assert client.post(address, data).status_code == 303
    row.refresh_from_db()
    assert (row.title, row.problem) == ("Bulls", "USI is away")
    assert list(row.records.values_list("pk", "breed", "state")) == [(stays.pk, "Holstein", State.ERROR)]
    assert "1 record deleted" in Act.objects.get(action="changed").outcome
    assert goes.pk not in row.records.values_list("pk", flat=True)


def test_what_was_sent_stays_as_it_is(client, boss, make_submission, owner):
    row = Submission.objects.create(owner=owner, title="Cows", usi_name="n")
    address = f"/submissions/{row.pk}/edit/"
    data = opened(client, address)
    page = client.get(f"/submissions/{row.pk}/").content.decode()
    assert "Mark as submitted to USI" in page
    assert client.post(f"/submissions/{row.pk}/submit/").status_code == 303
    row.refresh_from_db()
    assert row.state == State.SUBMITTED
    late = client.post(address, data | {"title": "Late", "records-0-alias": "late"})
    assert late.status_code == 422
    assert "can no longer be changed here" in late.content.decode()
    kept = sent_back(late.content.decode())
    assert "records-TOTAL_FORMS" not in kept
    assert client.post(address, kept | {"usi_name": "other"}).status_code == 303
    row.refresh_from_db()
    assert (row.title, row.usi_name, row.records.count()) == ("Late", "n", 0)
    assert "Fetch status" in client.get(f"/submissions/{row.pk}/").content.decode()
    again = client.post(f"/submissions/{row.pk}/submit/", follow=True).content.decode()
    assert "cannot become submitted" in again


def test_who_may(client, owner, make_submission, django_user_model):
    row = Submission.objects.create(owner=owner, title="Cows")
    client.force_login(owner)
    edit, submit = f"/submissions/{row.pk}/edit/", f"/submissions/{row.pk}/submit/"
    for answer in (client.get(NEW), client.post(NEW), client.get(edit), client.post(submit)):
        assert answer.status_code == 403
        page = answer.content.decode()
        assert "needs the permission" in page
        assert "Ask for access" in page
    names = ("add_submission", "change_submission")
    owner.user_permissions.set(Permission.objects.filter(codename__in=names))
    data = opened(client, NEW)
    assert "owner" not in data
    assert client.post(NEW, data | {"title": "Mine", "owner": "sara"}).status_code == 303
    assert Submission.objects.get(title="Mine").owner == owner
    assert client.post(edit, opened(client, edit) | {"title": "Bulls"}).status_code == 303
    other = Submission.objects.create(owner=django_user_model.objects.create_user("zoe"), title="Theirs")
    assert client.get(f"/submissions/{other.pk}/edit/").status_code == 404
    assert client.post(f"/submissions/{other.pk}/submit/").status_code == 404
