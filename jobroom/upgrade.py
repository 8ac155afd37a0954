"""Renames the tables and rows of databases that were made before this was one package.

Until then the apps were called `jobs`, `workflows` and so on, and so were their tables, their rows in
`django_migrations` and `django_content_type`, and their tasks. `rename` gives all of them their new names, in one
transaction; `is_old` says whether that is needed.
"""

import json
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

# The labels of the apps of old; each new one is `jobroom_<old>`.
LABELS = ("live", "jobs", "workflows", "schedules", "workers", "notifications")
# All of these together are a database of ours; a project's own app `jobs` has not both tables and this history.
_SIGNS = {("jobs", "0001_initial"), ("schedules", "0001_initial"), ("notifications", "0001_initial")}
_TABLES = {"jobs_job", "jobs_attempt", "schedules_settingsschedule"}
# Tasks of old; each new one is `jobroom.<old>`.
TASKS = (
    "jobs.bulk",
    "jobs.cleanup_jobs",
    "jobs.cleanup_results",
    "notifications.cleanup_mails",
    "notifications.deliver_mail",
    "notifications.send_email",
    "workflows.begin",
    "workflows.cleanup",
    "workflows.run",
)
# Where names of tasks are kept.
_COLUMNS = (
    ("jobroom_jobs_job", "task"),
    ("jobroom_jobs_taskrule", "task"),
    ("jobroom_jobs_preset", "task"),
    ("jobroom_notifications_adminmail", "task"),
    ("django_celery_beat_periodictask", "task"),
    ("django_celery_results_taskresult", "task_name"),
)


def is_old(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the tables of this database have their names of old."""
    tables = set(connection.introspection.table_names())
    if "django_migrations" not in tables or not tables >= _TABLES:
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations")
        return {tuple(row) for row in cursor.fetchall()} >= _SIGNS


def rename(connection: BaseDatabaseWrapper) -> list[str]:
    """Rename everything of the old names; return the new names of the tables. Nothing happens when nothing is old."""
    if not is_old(connection):
        return []
    with transaction.atomic(using=connection.alias):
        made = _rename_tables(connection)
        _rename_rows(connection)
        _rename_tasks(connection, set(connection.introspection.table_names()))
    return made


def _rename_tables(connection: BaseDatabaseWrapper) -> list[str]:
    old = [table for table in sorted(connection.introspection.table_names()) if table.partition("_")[0] in LABELS]
    quoted = connection.ops.quote_name
    with connection.cursor() as cursor:  # SQLite's schema editor would not work in a transaction
        for table in old:
            cursor.execute(f"ALTER TABLE {quoted(table)} RENAME TO {quoted(f'jobroom_{table}')}")
    return [f"jobroom_{table}" for table in old]


def _rename_rows(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        for label in LABELS:
            new = f"jobroom_{label}"
            cursor.execute("UPDATE django_migrations SET app = %s WHERE app = %s", [new, label])
            cursor.execute("UPDATE django_content_type SET app_label = %s WHERE app_label = %s", [new, label])


def _rename_tasks(connection: BaseDatabaseWrapper, tables: set[str]) -> None:
    with connection.cursor() as cursor:
        for table, column in _COLUMNS:
            if table in tables:
                for name in TASKS:
                    cursor.execute(
                        f"UPDATE {table} SET {column} = %s WHERE {column} = %s",  # noqa: S608 — our own names
                        [f"jobroom.{name}", name],
                    )
        cursor.execute("SELECT id, fields FROM jobroom_schedules_settingsschedule")
        for pk, kept in cursor.fetchall():
            fields: dict[str, Any] = json.loads(kept) if isinstance(kept, str) else kept
            if fields.get("task") in TASKS:
                fields["task"] = f"jobroom.{fields['task']}"
                cursor.execute(
                    "UPDATE jobroom_schedules_settingsschedule SET fields = %s WHERE id = %s", [json.dumps(fields), pk]
                )
