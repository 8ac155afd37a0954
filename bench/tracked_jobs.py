"""How many no-op jobs a second a worker runs with everything on, beside plain Celery and django-celery-results.

    python3 bench/tracked_jobs.py [--jobs 2000] [--rounds 5] [--outage 60] [--only sqlite|postgresql] [--quick]

`--quick` takes three rounds, without django-celery-results: two minutes on a quiet machine for both databases, most of
which are the outages. `--outage 0` leaves those out. Ratios are medians of the rounds, so they may be trusted to a
fifth on a machine that others use; the seconds of the outage may not.

Every system has its own worker (prefork, two processes), Redis database and, where it keeps one, database; all are up
at once and take turns within a round. The messages lie ready under another name and are renamed to the queue, so that
the sender is not measured; a last task reports the end. *Ours* keeps the result in Redis, writes all events, and a
recorder keeps the database and the archive of results meanwhile; how far it is behind is sampled. *The outage*: no recorder
for as many jobs as the measured rate makes in `--outage` seconds (their events are written as the worker writes them),
then the time until the database has them all.
"""

import argparse
import contextlib
import json
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings
from bench.surroundings import FOLDER, Child, middle, spread, table, verdict, wait_for

PLAIN, RESULTS, LAG, CATCH_UP = 0.6, 5.0, 1.0, 10.0

PEER = """
import os, time
import redis
from celery import Celery
url = os.environ["REDIS_URL"]
if os.environ.get("PEER_DATABASE"):
    from django.conf import settings
    import environ
    entry = environ.Env.db_url_config(os.environ["PEER_DATABASE"])
    if "sqlite" in entry["ENGINE"]:
        entry["OPTIONS"] = {"timeout": 30, "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;"}
    settings.configure(SECRET_KEY="x", USE_TZ=True, DATABASES={"default": entry},
                       DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
                       INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_celery_results"])
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench_peer_settings"
    import django
    django.setup()
app = Celery("peer", broker=url)
if os.environ.get("PEER_DATABASE"):
    app.conf.update(result_backend="django-db", task_track_started=True)
else:
    app.conf.task_ignore_result = True

@app.task(name="bench.noop")
def noop():
    pass

@app.task(name="bench.mark", ignore_result=True)
def mark(key):
    redis.Redis.from_url(url).lpush(key, time.monotonic())
"""

OURS = """
import time
import redis
from django.conf import settings
from image.celery import app

@app.task(name="bench.noop", ignore_result=False)
def noop():
    pass

@app.task(name="bench.mark", track=False, ignore_result=True)
def mark(key):
    redis.Redis.from_url(settings.JOBROOM["REDIS_URL"]).lpush(key, time.monotonic())
"""

SENDER = """
import sys
module, count, key = sys.argv[1:]
if module == "bench_ours":
    import django
    django.setup()
app = __import__(module).app
for _ in range(int(count)):
    app.tasks["bench.noop"].apply_async(queue="stage")
app.tasks["bench.mark"].apply_async((key,), queue="stage")
"""

MIGRATE = "import bench_peer; from django.core.management import call_command; call_command('migrate', verbosity=0)"


class System:
    """One worker with its Redis database, and how to feed it."""

    def __init__(self, name: str, number: int, module: str, env: dict[str, str]) -> None:
        import redis

        self.name, self.module = name, module
        url = surroundings.redis_url(number)
        path = f"{FOLDER}:{surroundings.ROOT}"
        self.env = {"REDIS_URL": url, "CELERY_BROKER_URL": url, "PYTHONPATH": path, "LOG_LEVEL": "WARNING", **env}
        self.redis = redis.Redis.from_url(url, socket_timeout=None, decode_responses=True)
        self.queue = "default" if module == "bench_ours" else "celery"
        self.recorder: Child | None = None
        self.worker: Child | None = None
        self.rates: list[float] = []
        self.lags: list[float] = []
        self.cpu: list[float] = []

    @property
    def is_ours(self) -> bool:
        """Whether it keeps a database."""
        return self.module == "bench_ours"

    def start(self) -> None:
        """Start worker and recorder, and warm them up."""
        if self.is_ours:
            self.run("-m", "django", "migrate", "--verbosity", "0")
            self.record()
        elif "PEER_DATABASE" in self.env:
            self.run("-c", MIGRATE)
        app, more = ("image", ["-I", "bench_ours"]) if self.is_ours else ("bench_peer", [])
        self.worker = Child(
            f"worker-{self.name}",
            [
                *(
                    sys.executable,
                    "-m",
                    "celery",
                    "-A",
                    app,
                    "worker",
                    *more,
                    "-c",
                    2,
                    "-Q",
                    self.queue,
                    "-l",
                    "WARNING",
                ),
                *("-n", f"{self.name}@bench", "--without-gossip", "--without-mingle", "--without-heartbeat"),
            ],
            self.env,
        )
        self.drain(200, warm_up=True)

    def record(self) -> None:
        """Start the recorder."""
        self.recorder = Child(f"recorder-{self.name}", [sys.executable, "-m", "django", "record"], self.env)

    def run(self, *argv: object) -> None:
        """Run a Python program of the system to its end."""
        child = Child(f"program-{self.name}", [sys.executable, *argv], self.env)
        if child.popen.wait():
            raise SystemExit(child.text())

    def behind(self) -> float:
        """Return the age in seconds of the oldest event that is not in the database."""
        oldest = self.redis.xrange("image:events", count=1)
        return time.time() - int(oldest[0][0].partition("-")[0]) / 1000 if oldest else 0.0

    def caught_up(self) -> bool:
        """Return whether the database has everything."""
        return not self.redis.xlen("image:events")

    def drain(self, jobs: int, *, warm_up: bool = False) -> None:
        """Let the worker run so many jobs that lie ready."""
        key = f"mark:{time.monotonic_ns()}"
        self.run("-c", SENDER, self.module, str(jobs), key)
        if self.is_ours:
            wait_for(self.caught_up, 300, f"the database of {self.name}")
        over, lags = threading.Event(), [0.0]

        def watch() -> None:
            while not over.wait(0.05):
                lags.append(self.behind())

        watcher = threading.Thread(target=watch)
        if self.is_ours:
            watcher.start()
        before, began = self.used(), time.monotonic()
        self.redis.rename("stage", self.queue)
        answer = self.redis.brpop(key, timeout=120)
        if answer is None:
            raise SystemExit(f"{self.name} did not finish\n{self.worker.text()[-2000:]}")
        if self.is_ours:
            wait_for(self.caught_up, 300, f"the database of {self.name}")
            over.set()
            watcher.join()
        if not warm_up:
            self.rates.append(jobs / (float(answer[1]) - began))
            self.lags.append(max(lags))
            self.cpu.append((self.used() - before) / jobs * 1e6)

    def used(self) -> float:
        """Return the processor seconds of worker and recorder."""
        return sum(child.cpu() for child in (self.worker, self.recorder) if child is not None)

    def outage(self, jobs: int) -> float:
        """Write the events of so many jobs while no recorder runs; return the seconds until the database has them."""
        self.recorder.stop()
        template = [
            {"type": "queued", "task": "bench.noop", "queue": "default", "eta": None, "retries": 0, "priority": None,
             "source": "code", "schedule": None, "parent": None, "root": None, "args": [], "kwargs": {}},
            {"type": "started", "task": "bench.noop", "retries": 0, "worker": "default@bench", "instance": "i/1",
             "pid": 1, "queue": "default", "may_rerun": False},
            {"type": "finished", "state": "succeeded", "runtime": 0.001, "result": None, "holder": ""},
        ]  # fmt: skip
        stamp = time.time_ns()
        for start in range(0, jobs, 500):
            with self.redis.pipeline(transaction=False) as pipe:
                for number in range(start, min(jobs, start + 500)):
                    own = {
                        "job": f"outage-{stamp}-{number}",
                        "at": time.time(),
                        "execution": f"{stamp:x}-{number}"[-30:],
                    }
                    for event in template:
                        text = json.dumps(
                            {**event, **own}
                            if event["type"] != "queued"
                            else {**event, "job": own["job"], "at": own["at"]}
                        )
                        pipe.xadd("image:events", {"e": text})
                pipe.execute()
        self.record()
        # The start of the process is not part of the catching up.
        length = self.redis.xlen("image:events")
        wait_for(lambda: self.redis.xlen("image:events") < length, 60, "the recorder's start")
        began = time.monotonic()
        wait_for(self.caught_up, 600, f"the database of {self.name}")
        return time.monotonic() - began

    def printed(self) -> str:
        """Return what its processes printed."""
        return "".join(child.text() for child in (self.worker, self.recorder) if child is not None)

    def recorded(self) -> int:
        """Return how many jobs the database says have succeeded."""
        program = "import django; django.setup(); from jobroom.jobs.models import Job; print('recorded', Job.objects.filter(state='succeeded').count())"
        child = Child(f"count-{self.name}", [sys.executable, "-c", program], self.env)
        child.popen.wait()
        return int(child.text().rpartition("recorded ")[2])

    def stop(self) -> None:
        """Stop worker and recorder."""
        for child in (self.worker, self.recorder):
            if child is not None:
                child.stop()


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--outage", type=float, default=60.0, help="seconds")
    options.add_argument("--only", choices=["sqlite", "postgresql"])
    options.add_argument("--quick", action="store_true", help="three rounds, without django-celery-results")
    asked = options.parse_args()
    if asked.quick:
        asked.rounds = 3
    (FOLDER / "bench_peer.py").write_text(PEER)
    (FOLDER / "bench_ours.py").write_text(OURS)
    with contextlib.ExitStack() as stack:
        systems = [System("plain", 1, "bench_peer", {})]
        url = None if asked.only == "sqlite" else stack.enter_context(surroundings.postgresql())
        if url:
            base = url.rpartition("/")[0]
            _create(url, "peer")
            systems += [
                System("ours-postgresql", 3, "bench_ours", {"DATABASE_URL": url}),
                System("results-postgresql", 2, "bench_peer", {"PEER_DATABASE": f"{base}/peer"}),
            ][: 1 if asked.quick else 2]
        if asked.only != "postgresql":
            systems += [
                System("ours-sqlite", 5, "bench_ours", {"DATABASE_URL": f"sqlite:///{FOLDER}/ours.sqlite3"}),
                System("results-sqlite", 4, "bench_peer", {"PEER_DATABASE": f"sqlite:///{FOLDER}/peer.sqlite3"}),
            ][: 1 if asked.quick else 2]
        for system in systems:
            stack.callback(system.stop)
            system.start()
        for _ in range(asked.rounds):
            for system in systems:
                system.drain(asked.jobs // 4 if system.name.startswith("results") else asked.jobs)
        show(systems, asked)


def _create(url: str, name: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")


def show(systems: list[System], asked: argparse.Namespace) -> None:
    """Print rates, ratios, lag and the catching up."""
    by_name = {system.name: system for system in systems}
    plain = by_name["plain"].rates
    rows: list[tuple[object, ...]] = [("system", "jobs/s", "CPU µs/job", "what", "ratio", "budget", "")]
    for system in systems:
        ratio = middle([a / b for a, b in zip(system.rates, plain, strict=True)])
        limit = (f"{PLAIN} x", verdict(ratio, PLAIN, at_least=True)) if system.is_ours else ("", "")
        rows.append(
            (
                system.name,
                spread(system.rates, 0),
                f"{middle(system.cpu):.0f}",
                "of plain Celery",
                f"{ratio:.2f} x",
                *limit,
            )
        )
    for system in systems:
        if not system.is_ours:
            continue
        kind = system.name.partition("-")[2]
        if peer := by_name.get(f"results-{kind}"):
            ratio = middle([a / b for a, b in zip(system.rates, peer.rates, strict=True)])
            compared = (
                (f"{RESULTS:.0f} x", verdict(ratio, RESULTS, at_least=True)) if kind == "postgresql" else ("", "")
            )
            rows.append((system.name, "", "", "of django-db with track_started", f"{ratio:.1f} x", *compared))
        rows.append(
            (
                system.name,
                "",
                "",
                "most seconds behind",
                spread(system.lags),
                f"{LAG:.0f} s",
                verdict(middle(system.lags), LAG),
            )
        )
        jobs = int(middle(system.rates) * asked.outage)
        if jobs:
            seconds = system.outage(jobs)
            rows.append(
                (
                    system.name,
                    "",
                    "",
                    f"after {jobs} jobs without a recorder ({jobs / seconds:.0f}/s)",
                    f"{seconds:.1f} s",
                    f"{CATCH_UP:.0f} s",
                    verdict(seconds, CATCH_UP),
                )
            )
        expected = 200 + asked.rounds * asked.jobs + jobs
        missing = expected - system.recorded()
        locked = system.printed().count("database is locked")
        rows.append(
            (
                system.name,
                "",
                "",
                "jobs missing in the database; “database is locked”",
                f"{missing}; {locked}",
                "0; 0",
                verdict(missing + locked, 0),
            )
        )
    table("Tracked no-op jobs", rows)


if __name__ == "__main__":
    main()
