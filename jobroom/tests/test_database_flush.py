"""Between tests that commit, the database is emptied as Django's own flush does it."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from pytest_django.plugin import blocking_manager_key

from jobroom import events, redis
from jobroom.events import consumer
from jobroom.jobs.models import Job
from jobroom.testing import database
from jobroom.testing.processes import Recorder


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


def torn_down(request, *, next_file, marks=("acceptance",)):
    """Tear down a test whose file's processes write a row until they end; the next test is of `next_file`."""
    marker = {"get_closest_marker": lambda name: name in marks, "config": request.config}
    teardown = database.pytest_runtest_teardown(
        SimpleNamespace(path=Path("test_one.py"), **marker), next_file and SimpleNamespace(path=Path(next_file))
    )
    next(teardown)
    User.objects.create(username="late")
    with suppress(StopIteration):
        teardown.send(None)


def test_what_processes_of_a_file_write_after_its_last_test_goes_with_it(flushed, request):
    torn_down(request, next_file="test_two.py")
    assert now() == flushed


def test_a_row_of_a_migration_that_they_change_is_there_again(flushed, request):
    Permission.objects.order_by("pk").first().delete()
    torn_down(request, next_file="test_two.py")
    assert not User.objects.exists()
    assert Permission.objects.count() == len(flushed["auth_permission"])


@pytest.mark.parametrize(
    ("next_file", "marks"), [("test_one.py", ["acceptance"]), (None, ["acceptance"]), ("test_two.py", [])]
)
def test_rows_stay_within_a_file_and_where_no_process_wrote_them(flushed, request, next_file, marks):
    torn_down(request, next_file=next_file, marks=marks)
    assert User.objects.count() == 1


@pytest.mark.acceptance
def test_a_database_is_migrated_in_a_child_while_others_import(flushed, request, tmp_path):
    User.objects.create(username="ada")
    child = database.forked_migration(tmp_path, request.config.stash[blocking_manager_key])
    assert os.waitpid(child, 0)[1] == 0
    with closing(sqlite3.connect(tmp_path / "migrated.sqlite3")) as made:
        tables = {name for (name,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert made.execute("SELECT count(*) FROM auth_user").fetchone() == (0,)
    assert set(connection.introspection.table_names()) <= tables
    assert User.objects.count() == 1, "the parent's own is as it was"
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "migrated.sqlite3"}


@pytest.mark.acceptance
def test_what_a_shared_recorder_has_yet_to_write_goes_with_the_test_that_made_it(flushed):
    redis.client().flushdb()
    test = SimpleNamespace(available_apps=None, serialized_rollback=False, reset_sequences=False, databases={"default"})
    with Recorder():
        for number in range(500):
            events.emit("queued", f"job-{number}", task="demo.echo")
        database.emptied(lambda _: None)(test)
        assert not consumer.lag().entries
        assert not Job.objects.exists()
    assert not Recorder.running
