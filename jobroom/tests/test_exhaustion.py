"""A server without room is named with the remedy at each door: page, API and command line."""

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.db import DatabaseError, OperationalError, connection
from django.test import RequestFactory

from jobroom import exhaustion, redis
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs.api import problems
from jobroom.runner.command_line import explained
from jobroom.web import middleware

MEMORY = redis.ResponseError("OOM command not allowed when used memory > 'maxmemory'.")
WITHOUT_ROOM = [
    (MEMORY, "Raise its maxmemory"),
    (redis.ResponseError("MISCONF Errors writing to the AOF file: No space left on device"), "disk of its data folder"),
    (OperationalError("database or disk is full"), "disk of the database is full"),
    (OperationalError('could not extend file "base/1": No space left on device'), "Free space"),
    (OSError(28, "No space left on device"), "MEDIA_ROOT"),
]


def test_what_was_raised_from_such_an_error_is_one_too():
    error = RedisUnavailable("away")
    assert exhaustion.sentence(error) == ""
    error.__cause__ = MEMORY
    assert "maxmemory" in exhaustion.sentence(error)


@pytest.mark.parametrize(("error", "remedy"), WITHOUT_ROOM)
def test_a_command_names_the_remedy(error, remedy):
    assert remedy in explained(error)


@pytest.mark.parametrize(("error", "remedy"), WITHOUT_ROOM[:4])
def test_the_api_names_the_remedy(error, remedy):
    answer = problems.handler(error, {})
    assert answer.status_code == 503
    assert remedy in answer.data["detail"]


@pytest.mark.django_db
@pytest.mark.parametrize(("error", "remedy"), WITHOUT_ROOM)
def test_a_page_names_the_remedy_and_another_error_is_none_of_its(error, remedy, admin_user):
    request = RequestFactory().post("/tasks/demo.add/")
    request.user, request.session = admin_user, {}
    page = middleware.refusals(None).process_exception(request, error)
    assert page.status_code == 503
    assert remedy.replace("'", "&#x27;") in page.content.decode()
    assert middleware.refusals(None).process_exception(request, RuntimeError("something else")) is None


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/jobs/", "/workers/", "/account/", "/api/jobs/"])
def test_a_session_that_the_database_does_not_give_is_its_fault_on_every_face(admin_client, monkeypatch, address):
    def refuse(self):
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(SessionStore, "_get_session_from_db", refuse)
    answer = admin_client.get(address)
    assert answer.status_code == 503
    assert "database is busy" in answer.content.decode().replace("The database", "the database")


def test_a_database_that_is_busy_is_a_page_that_asks_it_nothing():
    """A disk that had other work kept the lock of SQLite for longer than its limit: the page said that something broke."""
    request = RequestFactory().post("/jobs/a/cancel/")
    page = middleware.refusals(None).process_exception(request, OperationalError("database is locked"))
    assert page.status_code == 503
    assert page.headers["Retry-After"] == "60"
    assert "your browser still has what you typed" in page.content.decode()


@pytest.mark.django_db
def test_a_table_that_is_not_there_is_an_error_of_ours_on_page_and_api():
    """SQLite calls that an OperationalError too: to try again in a minute would change nothing."""
    with connection.cursor() as cursor, pytest.raises(DatabaseError) as raised:
        cursor.execute("SELECT 1 FROM no_such_table")
    assert middleware.refusals(None).process_exception(RequestFactory().get("/jobs/"), raised.value) is None
    assert problems.handler(raised.value, {}) is None
