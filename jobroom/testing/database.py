"""A pytest plugin: a database is migrated once for all processes of a run, and emptied quickly between tests that commit.

After such a test Django empties every table and announces the end of a migration, upon which content types, permissions
and the definitions of workflows are written again, as they were: half a second of a processor, some hundred times in a
run. Here those rows stay where they are as long as no test has changed them; everything else is deleted.

A recorder that several tests share writes after the last word of a test what that test made: it is waited for before the
database is emptied, and what processes wrote up to their end goes with the file whose they were.
"""

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections, transaction
from pytest_django.plugin import blocking_manager_key

Rows = list[tuple[Any, ...]]

# What a migration leaves in an empty database, table by table; nothing before Django has emptied it once.
_after_migration: dict[str, Rows] = {}


_KEY = "image_database"
_FOLDER = pytest.StashKey[str]()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take the place of what Django does before the first test and after each one that commits."""
    from django.db.backends.sqlite3.creation import DatabaseCreation
    from django.test import TransactionTestCase

    slowly = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]
    TransactionTestCase._fixture_teardown = emptied(slowly)  # type: ignore[attr-defined]
    folder = getattr(config, "workerinput", {}).get(_KEY)
    if folder:
        DatabaseCreation.create_test_db = copied(DatabaseCreation.create_test_db, Path(folder))  # type: ignore[method-assign]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Begin to migrate a database for all processes of pytest-xdist, while they import and collect."""
    folder = tempfile.mkdtemp(prefix="image-database-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    config.stash[_FOLDER] = folder
    if connection.vendor == "sqlite" and (child := forked_migration(Path(folder), config.stash[blocking_manager_key])):
        config.add_cleanup(partial(_reap, child))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass to a process of pytest-xdist where the migrated database is, or where the first one is to leave it."""
    node.workerinput[_KEY] = node.config.stash[_FOLDER]


@pytest.fixture(scope="module")
def module_transaction(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Hold a transaction open around all tests of a file: rows that are written in it by fixtures of the file are shared.

    Each test still has a transaction of its own inside it, and what it changes is taken back. Not for files of which a
    test commits.
    """
    around = transaction.atomic()
    around._from_testcase = True  # type: ignore[attr-defined]  # code under test did not open it
    with django_db_blocker.unblock(), around:
        yield
        transaction.set_rollback(True)


def copied(create: Callable[..., str], folder: Path) -> Callable[..., str]:
    """Return what makes an SQLite database by `create` in one process only; all others copy its file."""

    def make(creation: Any, verbosity: int = 1, autoclobber: bool = False, serialize: bool = True, **more: Any) -> str:
        name = creation._get_test_db_name()
        migrated = folder / "migrated.sqlite3"
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            special = serialize or more.get("keepdb") or creation.is_in_memory_db(name)
            if special or not migrated.exists():
                create(creation, verbosity, autoclobber, serialize, **more)
                if not special:
                    copy(Path(name), migrated)
                return str(name)
        copy(migrated, Path(name))
        creation.connection.close()
        settings.DATABASES[creation.connection.alias]["NAME"] = name
        creation.connection.settings_dict["NAME"] = name
        creation.connection.ensure_connection()
        return str(name)

    return make


def forked_migration(folder: Path, blocker: Any) -> int:
    """Migrate a database in a child of this process; return its id. Where it fails, the first who needs it makes it, and says why."""
    from django.db.backends.sqlite3.creation import DatabaseCreation

    if child := os.fork():
        return child
    status = 1
    try:
        name = folder / "early.sqlite3"
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = str(name)
        del connections["default"]  # another one, which shares no open file with the parent
        make = copied(DatabaseCreation.create_test_db, folder)
        with (
            blocker.unblock(),
            Path(os.devnull).open("w") as nothing,
            redirect_stdout(nothing),
            redirect_stderr(nothing),
        ):
            make(connection.creation, verbosity=0, autoclobber=True, serialize=False)
        connection.close()
        name.unlink()
        status = 0
    finally:
        os._exit(status)


def _reap(child: int) -> None:
    os.waitpid(child, 0)


def copy(source: Path, target: Path) -> None:
    """Copy an SQLite database, also what still stands in its log; the target is whole at any time."""
    unfinished = target.with_name(f"{target.name}.unfinished")
    with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(unfinished)) as writer:
        reader.backup(writer)
    unfinished.replace(target)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Leave nothing to the next file that processes have written after the last test of this one: they ended after it."""
    yield
    from jobroom.testing.distribution import takes_processes

    # After the very last test of all, the database in the settings is no longer that of the tests.
    if nextitem is not None and nextitem.path != item.path and takes_processes(item) and _after_migration:
        with item.config.stash[blocking_manager_key].unblock():
            if not empty_quickly():
                call_command("flush", verbosity=0, interactive=False)
                _learn()


def emptied(slowly: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return what empties the database quickly where that is the same as `slowly`, Django's own way."""

    def empty(test: Any) -> None:
        from jobroom.testing.processes import wait_for_recorders

        wait_for_recorders()
        special = test.available_apps is not None or test.serialized_rollback or test.reset_sequences
        if not special and test.databases <= {"default"} and empty_quickly():
            return
        slowly(test)
        if special:
            _after_migration.clear()
        else:
            _learn()

    return empty


def _learn() -> None:
    _after_migration.clear()
    _after_migration.update((table, rows(table)) for table in filled())


def empty_quickly() -> bool:
    """Delete what tests have written; return whether the database is now as Django's flush would leave it."""
    if not _after_migration:
        return False
    with transaction.atomic():
        for table in filled():
            _delete_from(table)
    return all(rows(table) == known for table, known in _after_migration.items())


def _delete_from(table: str) -> None:
    """Delete all rows but those that a migration has left."""
    with connection.cursor() as cursor:
        known = _after_migration.get(table)
        if known is None:
            cursor.execute(f"DELETE FROM {quoted(table)}")
            return
        key = connection.introspection.get_primary_key_column(cursor, table)
        if rows(table) != known and key is not None:
            at = columns(table).index(key)
            kept = [row[at] for row in known]
            places = ", ".join(["%s"] * len(kept))
            cursor.execute(f"DELETE FROM {quoted(table)} WHERE {quoted(key)} NOT IN ({places})", kept)


def filled() -> list[str]:
    """Return the tables that have rows, by one statement."""
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    parts = (f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {quoted(table)})" for table in tables)
    return [row[0] for row in _answer(" UNION ALL ".join(parts))]


def rows(table: str) -> Rows:
    """Return all rows of a table, in the order of their first column."""
    return _answer(f"SELECT * FROM {quoted(table)} ORDER BY 1")


def columns(table: str) -> list[str]:
    """Return the names of the columns, in the order of `rows`."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {quoted(table)} LIMIT 0")
        return [column[0] for column in cursor.description]


def quoted(name: str) -> str:
    """Return the name as SQL wants it."""
    return connection.ops.quote_name(name)


def _answer(sql: str, values: Iterable[Any] = ()) -> Rows:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(values))
        return [tuple(row) for row in cursor.fetchall()]
