"""What USI says of many records is written in pieces: no one waits long for the database, and none sees a false end."""

import pytest
from django.db import connection

from biosample import services
from biosample.models import Record, Submission
from biosample.services import fetch
from biosample.states import State
from biosample.tests.usi_server import sample
from jobroom.testing import transactions

# A piece has to be there for others, which no test transaction would show.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]


@pytest.fixture(autouse=True)
def _pieces_of_two(monkeypatch):
    monkeypatch.setattr(fetch, "_PIECE", 2)


@pytest.fixture
def submission(usi_server, make_submission):
    """A submission of which USI has completed all records, three that we know and four more."""
    names = [f"s_{number}" for number in range(7)]
    usi_server.add("sub-1", *(sample(name, "Completed", accession=f"A{name}") for name in names), status="Completed")
    return make_submission(records=names[:3])


def after_piece(monkeypatch, number, meanwhile):
    """Let `meanwhile` happen before a piece is written, after so many others."""
    write, seen = fetch._while_submitted, []

    def written(submission, **fields):
        assert connection.in_atomic_block
        seen.append(fields)
        if len(seen) == number + 1:
            meanwhile()
        write(submission, **fields)

    monkeypatch.setattr(fetch, "_while_submitted", written)
    return seen


def completed():
    return Record.objects.filter(state=State.COMPLETED).exclude(accession="").count()


def test_the_state_of_the_whole_is_written_last(submission, monkeypatch):
    state_meanwhile = []
    read = Submission.objects.filter(pk=submission.pk).values_list("state", "usi_status", "checked_at")
    seen = after_piece(monkeypatch, 4, lambda: state_meanwhile.append((completed(), *read.get())))
    assert services.fetch_statuses()["completed"] == 1
    assert state_meanwhile == [(7, State.SUBMITTED, "", None)]
    assert [list(fields) for fields in seen[:4]] == [["state"]] * 4
    assert len(seen) == 5
    submission.refresh_from_db()
    assert (submission.state, submission.usi_status, submission.records.count()) == (State.COMPLETED, "Completed", 7)


def test_what_is_to_be_written_is_found_out_before_the_transaction(submission, monkeypatch):
    found = transactions.noted(monkeypatch, fetch, "_changed_records")
    services.fetch_statuses()
    assert found == [False]


def test_who_is_killed_between_two_pieces_goes_on_next_time(submission, monkeypatch):
    def killed():
        raise SystemExit

    with monkeypatch.context() as patch:
        after_piece(patch, 3, killed)
        with pytest.raises(SystemExit):
            services.fetch_statuses()
    submission.refresh_from_db()
    assert (submission.state, completed()) == (State.SUBMITTED, 6)
    known = dict(Record.objects.exclude(accession="").values_list("alias", "updated_at"))
    assert services.fetch_statuses()["completed"] == 1
    submission.refresh_from_db()
    assert (submission.state, completed(), Record.objects.count()) == (State.COMPLETED, 7, 7)
    assert known.items() <= dict(Record.objects.values_list("alias", "updated_at")).items(), "what stood there stays"


@pytest.mark.parametrize("pieces", [0, 2, 4])
def test_one_that_someone_changed_between_two_pieces_is_left_alone_from_then_on(submission, monkeypatch, pieces):
    with monkeypatch.context() as patch:
        after_piece(patch, pieces, lambda: Submission.objects.update(state=State.READY))
        assert services.fetch_statuses()["changed"] == 1
    submission.refresh_from_db()
    # What the piece itself did in its transaction is taken back with it, also what others did in this test.
    assert (submission.state, submission.usi_status) == (State.SUBMITTED, "")
    assert completed() == min(2 * pieces, 7)
