"""A number that no column holds is no row's, wherever it comes from: it is never an error of the database's driver."""

import pytest
from django.contrib.auth.models import Group, User
from django.db.models import F, Q

from jobroom.arguments import hints
from jobroom.celery import turn_order
from jobroom.jobs import turn_reasons
from jobroom.jobs.models import Job

pytestmark = [pytest.mark.django_db, pytest.mark.sql]

GREAT = [2**63, -(2**63) - 1, 10**30]


@pytest.fixture
def ada():
    ada = User.objects.create_user("ada")
    ada.groups.add(Group.objects.create(name="readers"))
    Job.objects.create(id="j", task="demo.echo", owner=ada)
    return ada


@pytest.mark.parametrize("great", GREAT)
def test_it_is_among_no_ids(ada, great):
    assert list(User.objects.filter(pk__in=[great, ada.pk])) == [ada]
    assert not User.objects.filter(pk__in=[great]).exists()
    assert list(User.objects.exclude(pk__in=[great])) == [ada]
    assert list(User.objects.filter(Q(pk__in=[great]) | Q(username="ada"))) == [ada]
    assert list(User.objects.filter(pk__in=[str(great), str(ada.pk)])) == [ada], "as forms send it"


@pytest.mark.parametrize("great", GREAT)
def test_nothing_is_related_to_it(ada, great):
    group = ada.groups.get()
    for lookup in ("owner", "owner__in", "owner_id", "owner_id__in", "owner__groups", "owner__groups__in"):
        given = [great] if lookup.endswith("in") else great
        assert not Job.objects.filter(**{lookup: given}).exists(), lookup
        assert Job.objects.exclude(**{lookup: given}).get().owner == ada, lookup
    assert Job.objects.get(owner__in=[great, ada.pk]) == Job.objects.get(owner=ada)
    assert Job.objects.get(owner__groups__in=[great, group]) == Job.objects.get(owner__groups=group)


def test_the_greatest_and_the_least_are_asked_for(ada):
    ends = [2**63 - 1, -(2**63)]
    assert not User.objects.filter(pk__in=ends).exists()
    assert "9223372036854775807" in str(User.objects.filter(pk__in=ends).query)


def test_queries_and_columns_stay_what_they_are(ada):
    assert list(User.objects.filter(pk__in=User.objects.values("pk"))) == [ada]
    assert list(Job.objects.filter(owner__in=User.objects.all())) == list(Job.objects.all())
    assert list(User.objects.filter(pk__in=[F("pk")])) == [ada]


@pytest.mark.parametrize("great", GREAT)
def test_rows_that_a_task_is_given_name_what_there_is_not(ada, great):
    with pytest.raises(ValueError, match=f"There is no user {great}"):
        hints._load_rows(User)([ada.pk, great])


@pytest.mark.parametrize("person", ["9" * 30, "9" * 5000, "²", "-1", "anyone"])
def test_who_is_no_user_is_called_as_the_message_calls_them(ada, person):
    group = turn_order.Group("q", "queue:default", "k", 1, "", {}, waiting=3, people=2)
    turn = turn_order.Turn(group, own=0, others={str(ada.pk): 2, person: 1})
    assert turn_reasons._people(turn) == f"ada and {person}"
