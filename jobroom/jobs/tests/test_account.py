"""A person can end everything that acts for them; a new password ends tokens too; notes and uploads stay where they belong."""

import uuid
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobroom.events import attachments
from jobroom.jobs import files
from jobroom.jobs import tokens as accounts
from jobroom.jobs.authentication import user_of_token
from jobroom.jobs.models import Job, Source, State, StoredFile, TaskRule
from jobroom.jobs.tokens import new_token
from jobroom.jobs.views import actions
from jobroom.testing import transactions

pytestmark = pytest.mark.usefixtures("empty_redis")
PNG = b"\x89PNG\r\n\x1a\n<script>alert(1)</script>"


def tokens(password="lovelace"):
    answer = Client().post("/api/token/", {"username": "ada", "password": password}, content_type="application/json")
    assert answer.status_code == 200, answer.content
    return answer.json()


def status(access):
    return Client().get("/api/jobs/", headers={"authorization": f"Bearer {access}"}).status_code


def refresh(token):
    return Client().post("/api/token/refresh/", {"refresh": token}, content_type="application/json").status_code


def change_password(user):
    user.set_password("another one")
    user.save()


def disable(user):
    User.objects.filter(pk=user.pk).update(is_active=False)


def delete(user):
    user.delete()


def end_all(user):
    client = Client()
    client.force_login(user)
    assert client.post("/account/end-all/").status_code == 303


@pytest.mark.parametrize("end", [change_password, disable, delete, end_all])
def test_web_tokens_end(ada, end):
    pair = tokens()
    assert status(pair["access"]) == 200
    assert refresh(pair["refresh"]) == 200
    end(ada)
    assert status(pair["access"]) == 401
    assert refresh(pair["refresh"]) == 401
    assert user_of_token(pair["access"]) is None


def test_a_web_token_of_a_machine_whose_clock_is_a_little_ahead_is_right(ada):
    now = timezone.now()
    with time_machine.travel(now + timedelta(seconds=5)):
        pair = tokens()
    with time_machine.travel(now):
        assert status(pair["access"]) == 200
        assert refresh(pair["refresh"]) == 200
    with time_machine.travel(now - timedelta(hours=1)):
        assert status(pair["access"]) == 401


@pytest.mark.parametrize("nonsense", ["", "x", "a.b.c"])
def test_nonsense_is_no_refresh_token(db, nonsense):
    assert refresh(nonsense) in {400, 401}


def test_everything_but_this_browser_ends(ada):
    _, text = new_token(ada, "program")
    here, there = Client(), Client()
    for browser in (here, there):
        browser.force_login(ada)
    other = User.objects.create_user("bob")
    bobs = Client()
    bobs.force_login(other)
    assert here.post("/account/end-all/").status_code == 303
    assert here.get("/account/").status_code == 200
    assert there.get("/account/").status_code == 302
    assert bobs.get("/account/").status_code == 200
    assert user_of_token(text) is None


def test_sessions_are_looked_for_outside_a_transaction_and_deleted_in_pieces(ada, monkeypatch):
    looked_at = transactions.noted(monkeypatch, Session, "get_decoded")
    monkeypatch.setattr(accounts, "_PIECE", 2)
    browsers = [Client() for _ in range(6)]
    for browser in browsers:
        browser.force_login(ada)
    here_key = browsers[0].session.session_key
    looked_at.clear()
    with CaptureQueriesContext(connection) as asked:
        accounts.end_all(ada, but=here_key)
    assert list(Session.objects.values_list("pk", flat=True)) == [here_key]
    deleted = [query["sql"] for query in asked if query["sql"].startswith('DELETE FROM "django_session"')]
    assert len(deleted) == 3
    assert looked_at == [False] * 5


def test_a_session_that_gets_another_key_meanwhile_ends_too(ada, monkeypatch):
    there, decode = Client(), Session.get_decoded
    there.force_login(ada)
    first = there.session.session_key

    def decoded(session):
        found = decode(session)
        if session.pk == first:
            there.session.cycle_key()
        return found

    monkeypatch.setattr(Session, "get_decoded", decoded)
    accounts.end_all(ada)
    assert not Session.objects.exists()


def test_the_page_shows_tokens_and_ends_one(as_ada, ada, staff):
    token, text = new_token(ada, "nightly import")
    theirs, _ = new_token(staff, "not mine")
    page = as_ada.get("/account/").content.decode()
    assert "nightly import" in page
    assert "not mine" not in page
    assert as_ada.post(f"/account/tokens/{theirs.pk}/revoke/").status_code == 404
    assert as_ada.post(f"/account/tokens/{2**70}/revoke/").status_code == 404
    assert as_ada.post(f"/account/tokens/{token.pk}/revoke/").status_code == 303
    assert user_of_token(text) is None


def test_an_account_is_for_those_who_are_logged_in(client, db):
    for address in ("/account/", "/account/end-all/"):
        assert client.get(address).status_code in {302, 405}
    assert client.post("/account/end-all/").status_code == 302


# Who may only see -----------------------------------------------------------------------------------------------------


def with_right(ada, *rights):
    group = Group.objects.create(name="g")
    ada.groups.add(group)
    rule = TaskRule.objects.create(task="demo.echo")
    for right in rights:
        getattr(rule, right).add(group)
    return Job.objects.create(
        id=str(uuid.uuid4()), task="demo.echo", state=State.SUCCEEDED, source=Source.API, note="between us"
    )


@pytest.mark.parametrize("stale", [False, True])
def test_a_note_is_looked_at_before_its_transaction_and_answered_after_it(as_ada, ada, monkeypatch, stale):
    job = Job.objects.create(id="j1", task="demo.echo", state=State.SUCCEEDED, source=Source.API, owner=ada)
    read = transactions.noted(monkeypatch, actions.current_state, "visible_job")
    judged = transactions.noted(monkeypatch, actions.control, "why_not_note")
    compared = transactions.noted(monkeypatch, actions, "is_stale")
    refused = transactions.noted(monkeypatch, actions, "conflict")
    answer = as_ada.post(f"/jobs/{job.pk}/note/", {"note": "mine", **({"version": "another"} if stale else {})})
    job.refresh_from_db()
    assert (answer.status_code, job.note) == ((409, "") if stale else (303, "mine"))
    assert (read, judged, compared, refused) == ([False], [False], [True], [False] * stale)


def test_who_may_not_write_a_note_is_not_shown_it_by_a_conflict(as_ada, ada):
    job = with_right(ada, "see", "cancel")
    answer = as_ada.post(f"/jobs/{job.pk}/note/", {"note": "mine", "version": "another"}, follow=True)
    assert answer.status_code == 200
    assert b"between us" not in answer.content
    assert b"Only its owner, staff, and groups with the right may write here." in answer.content


@pytest.mark.parametrize(
    ("rights", "shown"), [(["see"], False), (["see", "cancel"], False), (["see", "arguments"], True), (["see", "cancel", "arguments"], True)]
)  # fmt: skip
def test_a_note_is_for_those_who_may_read_the_arguments(as_ada, ada, rights, shown):
    job = with_right(ada, *rights)
    assert (b"between us" in as_ada.get(f"/jobs/{job.pk}/").content) is shown
    assert (b"between us" in as_ada.get(f"/api/jobs/{job.pk}/").content) is shown


def test_a_note_cannot_be_overwritten_by_who_does_not_see_it(as_ada, ada):
    job = with_right(ada, "see", "cancel")
    as_ada.post(f"/jobs/{job.pk}/note/", {"note": "mine"})
    job.refresh_from_db()
    assert job.note == "between us"


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("face", ["/files/{}/", "/api/files/{}/"])
def test_what_was_uploaded_is_never_shown_in_place(as_ada, ada, face):
    stored = files.store(SimpleUploadedFile("x.png", PNG), ada)
    answer = as_ada.get(face.format(stored.pk))
    assert b"".join(answer) == PNG
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_a_picture_that_a_job_made_is_shown_in_place(as_ada, ada):
    job = Job.objects.create(id="j1", task="demo.echo", state=State.SUCCEEDED, source=Source.API, owner=ada)
    file_id = uuid.uuid4()
    kept = attachments.keep(file_id, [PNG])
    StoredFile.objects.create(id=file_id, name="x.png", job_id=job.pk, owner=ada, **kept)
    answer = as_ada.get(f"/files/{file_id}/")
    assert b"".join(answer) == PNG
    assert answer["Content-Disposition"].startswith("inline")
    assert answer["Content-Type"] == "image/png"
