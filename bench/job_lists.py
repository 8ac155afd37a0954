"""Server time of the pages that list, filter and search a database of a million jobs, and of the same pages of the
django-celery-results admin in the same run.

    python3 bench/job_lists.py [--rows 1000000] [--only sqlite|postgresql] [--rounds 5]
    python3 bench/job_lists.py --sorted --rows 50000     lists by each column's order, with filters

Where other programs use the machine, the time of a page is mostly waiting for a processor: so what it works is shown, too.
The rows are written by one SQL statement. A page is one request of Django's test client in this process: what the
server does for it, without the network.
"""

import argparse
import gc
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings
from bench.surroundings import middle, spread, table, verdict

LIMIT = {"postgresql": 100.0, "sqlite": 200.0}
SORTED = 100.0
SLOW = 1500.0  # milliseconds; a page slower than this is asked for twice only


def parse() -> argparse.Namespace:
    """Return the options."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--only", choices=LIMIT)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--sorted", action="store_true", help="measure the lists by each column's order instead")
    options.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return options.parse_args()


def main() -> None:
    """Measure on each database in a process of its own."""
    options = parse()
    if options.inside:
        measure(options)
        return
    argv = [sys.executable, __file__, "--inside", "--rows", str(options.rows), "--rounds", str(options.rounds)]
    argv += ["--sorted"] * options.sorted
    if options.only != "postgresql":
        subprocess.run(argv, check=True)
    if options.only != "sqlite":
        with surroundings.postgresql() as url:
            if url:
                subprocess.run(argv, check=True, env={**os.environ, "TEST_DATABASE_URL": url})


def measure(options: argparse.Namespace) -> None:
    """Fill the database and time the pages."""
    surroundings.setup(DEBUG=False, ALLOWED_HOSTS=["*"])
    from django.contrib.auth.models import Group, User
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client

    from jobroom.jobs.models import Job, TaskRule

    mount_peer()
    call_command("migrate", verbosity=0)
    staff = User.objects.create_superuser("bench-staff")
    owner = User.objects.create_user("bench-owner")
    reader = User.objects.create_user("bench-reader")
    group = Group.objects.create(name="bench readers")
    reader.groups.add(group)
    for number in (1, 2, 3):
        rule = TaskRule.objects.create(task=f"bench.task_{number}")
        rule.see.add(group)
    began = time.perf_counter()
    fill(connection, options.rows, owner.pk)
    print(f"{connection.vendor}: {options.rows:,} jobs and results written in {time.perf_counter() - began:.0f} s")
    clients = {"staff": Client(), "owner": Client(), "reader": Client()}
    for name, user in (("staff", staff), ("owner", owner), ("reader", reader)):
        clients[name].force_login(user)
    middle_job = Job.objects.newest_first()[options.rows // 2]
    oldest = Job.objects.order_by("created_at", "id")[100]
    pages = in_order() if options.sorted else ours(middle_job, oldest)
    theirs = {} if options.sorted else admin(middle_job.pk, options.rows)
    gc.collect()
    gc.freeze()  # as the server does when it has started
    times: dict[str, list[float]] = {}
    worked: dict[str, list[float]] = {}
    for turn in range(options.rounds + 1):
        for name, (who, address) in {**pages, **theirs}.items():
            if turn > 2 and min(times[name]) > SLOW:
                continue
            before, began = processor(connection), time.perf_counter()
            answer = clients[who].get(address)
            taken = (time.perf_counter() - began) * 1000
            work = (processor(connection) - before) * 1000
            if answer.status_code != 200:
                raise SystemExit(f"{name}: {address} answered {answer.status_code}")
            if turn:  # the first one warms up
                times.setdefault(name, []).append(taken)
                worked.setdefault(name, []).append(work)
    show(connection.vendor, options.rows, pages, theirs, times, worked)


def processor(connection) -> float:
    """Return the processor seconds of this process and, where there is one, of the database's process for it."""
    seconds = time.process_time()
    if connection.vendor == "postgresql" and connection.connection is not None:
        pid = connection.connection.info.backend_pid
        seconds += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    return seconds


def mount_peer() -> None:
    """Show the package's own admin at /peer/, as it comes: the project's registers one that counts less."""
    from django.contrib.admin import AdminSite
    from django.urls import path
    from django_celery_results.admin import TaskResultAdmin
    from django_celery_results.models import TaskResult

    import image.urls

    site = AdminSite(name="peer")
    site.register(TaskResult, TaskResultAdmin)
    image.urls.urlpatterns.append(path("peer/", site.urls))


def ours(middle_job, oldest) -> dict[str, tuple[str, str]]:
    """Return the pages: name, who asks, address."""
    from urllib.parse import quote

    def before(job) -> str:
        return quote(f"{job.created_at.isoformat()}~{job.pk}")

    return {
        "overview": ("staff", "/"),
        "first page": ("staff", "/jobs/"),
        "page in the middle": ("staff", f"/jobs/?before={before(middle_job)}"),
        "last page": ("staff", f"/jobs/?before={before(oldest)}"),
        "state=failed (2 %)": ("staff", "/jobs/?state=failed"),
        "state=succeeded (96 %)": ("staff", "/jobs/?state=succeeded"),
        "one task (2.5 %)": ("staff", "/jobs/?task=bench.task_7"),
        "one task, failed": ("staff", "/jobs/?task=bench.task_7&state=failed"),
        "a task that never ran": ("staff", "/jobs/?task=bench.never"),
        "one queue (25 %)": ("staff", "/jobs/?queue=ml"),
        "a queue without jobs": ("staff", "/jobs/?queue=nowhere"),
        "one queue, failed": ("staff", "/jobs/?queue=ml&state=failed"),
        "one schedule": ("staff", "/jobs/?schedule=Nightly+1"),
        "one schedule, failed": ("staff", "/jobs/?schedule=Nightly+1&state=failed"),
        "own jobs (20 %)": ("owner", "/jobs/"),
        "own jobs, failed": ("owner", "/jobs/?state=failed"),
        "jobs of three tasks": ("reader", "/jobs/"),
        "jobs of three tasks, failed": ("reader", "/jobs/?state=failed"),
        "search the id of a job": ("staff", f"/jobs/?q={middle_job.pk}"),
        "search a common word": ("staff", "/jobs/?q=sample"),
        "search a word in no job": ("staff", "/jobs/?q=hippopotamus"),
        "search two words, failed": ("staff", "/jobs/?q=broken+sample&state=failed"),
        "search in one's own jobs": ("owner", "/jobs/?q=hippopotamus"),
        "two conditions that exclude each other": ("staff", "/jobs/?task=bench.task_7&queue=ml"),
        "search in jobs of three tasks": ("reader", "/jobs/?q=hippopotamus&queue=ml"),
        "a tag that no job has": ("staff", "/jobs/?tag=red&state=succeeded"),
        "overview of three tasks": ("reader", "/"),
        "catalogue of three tasks": ("reader", "/tasks/"),
        "our admin: jobs": ("staff", "/admin/jobroom_jobs/job/"),
        "our admin: failed jobs": ("staff", "/admin/jobroom_jobs/job/?state=failed"),
        "our admin: one task, failed": ("staff", "/admin/jobroom_jobs/job/?q=bench.task_7&state=failed"),
        "our admin: one task, succeeded": ("staff", "/admin/jobroom_jobs/job/?q=bench.task_7&state=succeeded"),
        "API: jobs of three tasks": ("reader", "/api/jobs/"),
        "API: search a word in no job": ("staff", "/api/jobs/?q=hippopotamus"),
        "catalogue of tasks": ("staff", "/tasks/"),
        "one job": ("staff", f"/jobs/{middle_job.pk}/"),
    }


def in_order() -> dict[str, tuple[str, str]]:
    """Return the pages of lists that go by a column: each order with each filter, and the second page of some."""
    filters = {
        "all": "",
        "state=failed (2 %)": "state=failed",
        "state=succeeded (96 %)": "state=succeeded",
        "one task (2.5 %)": "task=bench.task_7",
        "one task, failed": "task=bench.task_7&state=failed",
        "a common word": "q=sample",
        "a word in half of the jobs": "q=careful",
        "a word in 2 %": "q=broken",
        "a word in no job": "q=hippopotamus",
    }
    orders = ("created", "-started", "started", "-took", "took", "task", "-task")
    found = {
        f"{order}: {name}": ("staff", f"/jobs/?sort={order}&{query}")
        for order in orders
        for name, query in filters.items()
    }
    return found | {f"{order}: own jobs": ("owner", f"/jobs/?sort={order}") for order in orders}


def admin(job_id: str, rows: int) -> dict[str, tuple[str, str]]:
    """Return the pages of the package's admin that do the same."""
    base = "/peer/django_celery_results/taskresult/"
    return {
        "admin: first page": ("staff", base),
        "admin: last page": ("staff", f"{base}?p={max(1, rows // 100)}"),
        "admin: status=FAILURE": ("staff", f"{base}?status=FAILURE"),
        "admin: search the id of a job": ("staff", f"{base}?q={job_id}"),
        "admin: search a word in no row": ("staff", f"{base}?q=hippopotamus"),
    }


# --- rows ------------------------------------------------------------------------------------------------------------

_STATE = """CASE WHEN i > {rows} - 200 THEN 'queued' WHEN i % 20000 = 3 THEN 'running' WHEN i % 50 = 1 THEN 'failed'
 WHEN i % 100 = 5 THEN 'cancelled' WHEN i % 500 = 7 THEN 'lost' ELSE 'succeeded' END"""
_STATUS = "CASE WHEN i % 50 = 1 THEN 'FAILURE' WHEN i % 100 = 5 THEN 'REVOKED' ELSE 'SUCCESS' END"


def fill(connection, rows: int, owner: int) -> None:
    """Write `rows` jobs and as many results of django-celery-results, three seconds apart."""
    from django_celery_results.models import TaskResult

    from jobroom.jobs.models import Job

    if connection.vendor == "postgresql":
        series = f"(SELECT generate_series(1, {rows}::bigint) AS i) AS n"
        moment = f"now() - ({rows} - i) * interval '3 seconds'"
        pk = "lpad(to_hex((i * 2654435761) % 4294967296), 8, '0') || '-0000-4000-8000-' || lpad(to_hex(i), 12, '0')"
    else:
        series = (
            f"(WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {rows}) SELECT i FROM c) AS n"
        )
        moment = f"datetime('now', '-' || (({rows} - i) * 3) || ' seconds')"
        pk = "printf('%08x-0000-4000-8000-%012x', (i * 2654435761) % 4294967296, i)"
    state = _STATE.format(rows=rows)
    job = {
        "id": pk,
        "task": "'bench.task_' || (i % 40)",
        "state": state,
        "label": "'sample ' || i || ', mode=' || CASE i % 3 WHEN 0 THEN 'fast' ELSE 'careful' END",
        "queue": "CASE i % 4 WHEN 0 THEN 'default' WHEN 1 THEN 'ml' WHEN 2 THEN 'email' ELSE 'heavy' END",
        "owner_id": f"CASE WHEN i % 5 = 0 THEN {owner} END",
        "source": "'page'",
        "schedule": "CASE WHEN i % 21 = 0 THEN 'Nightly ' || (i % 4) ELSE '' END",
        "attempts": "1",
        "worker": "'default@host'",
        "instance": "'default@host/1-' || (i % 9)",
        "execution": "'x' || i",
        "created_at": moment,
        "queued_at": moment,
        "started_at": moment,
        "finished_at": f"CASE WHEN i <= {rows} - 200 THEN {moment} END",
        "error": "CASE WHEN i % 50 = 1 THEN 'Row ' || i || ' of the table is broken.' ELSE '' END",
        "error_type": "CASE WHEN i % 50 = 1 THEN 'ValueError' ELSE '' END",
    }
    result = {
        "task_id": pk,
        "task_name": "'bench.task_' || (i % 40)",
        "task_args": "'[' || i || ']'",
        "task_kwargs": "'{{}}'".replace("{{}}", "{}"),
        "status": _STATUS,
        "worker": "'default@host'",
        "content_type": "'application/json'",
        "content_encoding": "'utf-8'",
        "result": "'\"done\"'",
        "date_created": moment,
        "date_started": moment,
        "date_done": moment,
    }
    _insert(connection, Job, job, series)
    _insert(connection, TaskResult, result, series)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _insert(connection, model, expressions: dict[str, str], series: str) -> None:
    """Write all rows of a model; columns without an expression get the default of their field."""
    sample = model()
    columns, selected, values = [], [], []
    for field in model._meta.concrete_fields:
        if field.primary_key and field.column not in expressions:
            continue
        columns.append(connection.ops.quote_name(field.column))
        if field.column in expressions:
            selected.append(expressions[field.column].replace("%", "%%"))
        else:
            cast = f"CAST(%s AS {field.db_type(connection)})" if connection.vendor == "postgresql" else "%s"
            selected.append(cast)
            values.append(field.get_db_prep_save(getattr(sample, field.attname), connection))
    table_name = connection.ops.quote_name(model._meta.db_table)
    statement = f"INSERT INTO {table_name} ({', '.join(columns)}) SELECT {', '.join(selected)} FROM {series}"
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def show(vendor: str, rows: int, pages, theirs, times: dict[str, list[float]], worked: dict[str, list[float]]) -> None:
    """Print the pages with the budget, and the peer's."""
    limit = LIMIT[vendor] if theirs else SORTED
    first = middle(times["admin: first page"]) if theirs else 0.0
    found = [("page", "ms", "of them processor", "of the admin's first page", "budget", "")]
    for name in pages:
        found.append(
            (
                name,
                spread(times[name], 0),
                spread(worked[name], 0),
                f"1/{first / middle(times[name]):.0f}" if theirs else "",
                f"{limit:.0f} ms",
                verdict(middle(times[name]), limit),
            )
        )
    found += [(name, spread(times[name], 0), spread(worked[name], 0), "", "", "") for name in theirs]
    table(f"Lists of {rows:,} jobs on {vendor}", found)


if __name__ == "__main__":
    main()
