"""What sockets hear of workflows, and who hears it."""

import pytest
from django.contrib.auth.models import AnonymousUser, User

from jobroom.live.exceptions import UnknownTopic
from jobroom.live.topics import parse
from jobroom.workflows.tests.stored import chain, store

pytestmark = pytest.mark.django_db


def may_watch(user, topic):
    kind, name = parse(topic)
    return kind.may_watch(user, name)


def test_only_the_owner_and_staff_hear_of_a_workflow(ada, staff):
    stored = store(chain(1), "r", owner=ada)
    stranger = User.objects.create_user("eve")
    topic = f"workflow:{stored.pk}"
    assert [may_watch(one, topic) for one in (ada, staff, stranger, AnonymousUser())] == [True, True, False, False]
    assert not may_watch(staff, "workflow:nobody")


def test_who_was_shut_out_hears_no_more(ada):
    stored = store(chain(1), "r", owner=ada)
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert not may_watch(ada, f"workflow:{stored.pk}")


def test_the_list_is_heard_by_everyone_who_is_signed_in(ada):
    assert may_watch(ada, "workflows")
    assert not may_watch(AnonymousUser(), "workflows")
    with pytest.raises(UnknownTopic):
        parse("workflows: ")


def test_a_message_says_no_more_than_that_something_changed():
    kind, _ = parse("workflow:x")
    assert kind.render({"type": "changed", "seq": 0, "node_states": "secret"}) == {"type": "changed"}
    assert kind.render({"type": "other"}) is None
