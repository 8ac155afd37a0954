"""States of a submission, and who sees it."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, transaction

from biosample.exceptions import InvalidTransition
from biosample.models import REACHED_FROM, Record, Submission
from biosample.states import State

pytestmark = [pytest.mark.django_db, pytest.mark.sql]


@pytest.fixture
def submission(owner):
    return Submission.objects.create(owner=owner, title="Goats", usi_name="sub-1")


def test_states_have_their_documented_numbers():
    assert [(state.name, state.value) for state in State] == [
        ("WAITING", 0),
        ("LOADED", 1),
        ("SUBMITTED", 2),
        ("ERROR", 3),
        ("NEED_REVISION", 4),
        ("READY", 5),
        ("COMPLETED", 6),
    ]


@pytest.mark.parametrize("old", State)
@pytest.mark.parametrize("new", State)
def test_only_listed_transitions_happen(owner, old, new):
    submission = Submission.objects.create(owner=owner, title="Goats", usi_name="sub-1", state=old)
    began = submission.changed_at
    if old in REACHED_FROM[new]:
        submission.change_state(new)
        assert submission.changed_at > began
    else:
        with pytest.raises(InvalidTransition, match=f"is {old.label} and cannot become {new.label}"):
            submission.change_state(new)
        assert submission.changed_at == began
    stored = Submission.objects.get(pk=submission.pk)
    assert (stored.state, stored.changed_at) == (submission.state, submission.changed_at)


def test_nothing_leaves_completed():
    assert not any(State.COMPLETED in sources for sources in REACHED_FROM.values())


def test_the_second_of_two_changes_is_refused(submission):
    submission.submit()
    other = Submission.objects.get(pk=submission.pk)
    submission.complete("done")
    with pytest.raises(InvalidTransition, match="no longer submitted"):
        other.fail("gave up")
    assert Submission.objects.get(pk=submission.pk).message == "done"


def test_submitting_needs_a_name_and_clears_what_was(submission):
    nameless = Submission.objects.create(owner=submission.owner, title="Sheep")
    with pytest.raises(InvalidTransition, match="name in USI"):
        nameless.submit()
    submission.change_state(State.ERROR, message="old", problem="old")
    submission.submit()
    submission.refresh_from_db()
    assert (submission.state, submission.message, submission.problem) == (State.SUBMITTED, "", "")
    assert submission.submitted_at is not None


def test_the_database_keeps_the_rules(submission):
    for broken in ({"state": State.SUBMITTED}, {"usi_name": "sub-1"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Submission.objects.create(owner=submission.owner, title="Sheep", **broken)
    submission.records.create(alias="animal_1")
    with pytest.raises(IntegrityError), transaction.atomic():
        submission.records.create(alias="animal_1")


def test_everyone_sees_their_own_and_staff_sees_all(submission):
    users = get_user_model().objects
    other = users.create_user("otto")
    staff = users.create_user("sara", is_staff=True)
    gone = users.create_user("gerd", is_staff=True, is_active=False)
    record = submission.records.create(alias="animal_1")
    seen = {
        user.username: (list(Submission.objects.visible_to(user)), list(Record.objects.visible_to(user)))
        for user in (submission.owner, other, staff, gone, AnonymousUser())
    }
    both = ([submission], [record])
    assert seen == {"olga": both, "otto": ([], []), "sara": both, "gerd": ([], []), "": ([], [])}
