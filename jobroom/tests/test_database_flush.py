"""Between tests that commit, the database is emptied as Django's own flush does it."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command

from jobroom.testing import database


@pytest.fixture
def flushed(transactional_db):
    """Return what Django's flush leaves in the database."""
    call_command("flush", verbosity=0, interactive=False)
    database._after_migration.clear()
    database._after_migration.update((table, database.rows(table)) for table in database.filled())
    return dict(database._after_migration)


def now():
    return {table: database.rows(table) for table in database.filled()}


def test_rows_of_tests_go_and_those_of_migrations_stay(flushed):
    ada = User.objects.create(username="ada")
    group = Group.objects.create(name="readers")
    group.permissions.add(Permission.objects.first())
    ada.groups.add(group)
    kind = ContentType.objects.create(app_label="scratch", model="thing")
    Permission.objects.create(content_type=kind, codename="see", name="May see")
    assert now() != flushed
    assert database.empty_quickly()
    assert now() == flushed
    assert Permission.objects.count() > 100


@pytest.mark.parametrize("harm", ["delete", "change"])
def test_what_a_test_did_to_rows_of_migrations_is_left_to_django(flushed, harm):
    permission = Permission.objects.order_by("pk").first()
    if harm == "delete":
        permission.delete()
    else:
        Permission.objects.filter(pk=permission.pk).update(name="Something else")
    assert not database.empty_quickly()


def test_before_django_has_emptied_it_once_nothing_is_known(flushed):
    database._after_migration.clear()
    assert not database.empty_quickly()
