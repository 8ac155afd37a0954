"""What a workflow costs: ours beside Celery's canvas, celery-dyrygent and a hand-written minimum, on the same graphs.

    python3 bench/workflows.py [--rounds 5] [--graphs chain100,dag1000] [--engines ours,floor] [--database postgresql]

Every engine has its own worker (prefork, two processes), Redis database and driver process; all are up at once and take
turns within a round; ratios are medians of the ratios of the rounds. *Ours* runs with everything on: jobs tracked, a
recorder that keeps the database, results stored and passed to those who come after, a subscriber of the live topic. The
*floor* is what a minimum does: a script counts down a node's children and pushes the messages of the ready ones; it has
no results, no failures, no database. *Canvas* is a chain without a result backend, else a chord or a chain of groups with the
Redis backend. *Plain* are as many independent no-op tasks whose messages lie ready. *dyrygent* (0.8.0, its fastest tick)
is installed for this run into a temporary folder. *kombu* (not among the default engines) is ours with TAKE_IN_ONE_STEP off. Graphs: `chainN`; `fanN`: root, N at once, join; `dagN`: layers of 50,
each node with one to three parents in the layer before.
"""

import argparse
import json
import os
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings
from bench.surroundings import FOLDER, Child, middle, spread, table
from bench.workflow_programs import DRIVER, KOMBU, OURS, PEER


def graph(name: str) -> list[list[int]]:
    """Return the parents of each node; the last node reports the end."""
    kind, size = name.rstrip("0123456789"), int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
    if kind == "chain":
        return [[number - 1] if number else [] for number in range(size)]
    if kind == "fan":
        return [[], *[[0]] * size, list(range(1, size + 1))]
    chance, width = random.Random(42), 50
    found: list[list[int]] = []
    for number in range(size):
        layer = number // width
        before = [width * (layer - 1) + place for place in chance.sample(range(width), chance.randint(1, 3))]
        found.append(before if layer else [])
    known = {parent for parents in found for parent in parents}
    return [*found, [number for number in range(size) if number not in known]]


class Engine:
    """A worker with its Redis database and its driver."""

    def __init__(self, name: str, number: int, env: dict[str, str] | None = None, kind: str = "") -> None:
        import redis

        self.name, self.kind = name, kind or name
        url = surroundings.redis_url(number)
        path = os.pathsep.join([str(FOLDER), str(surroundings.ROOT), str(FOLDER / "peer")])
        self.env = {
            "REDIS_URL": url,
            "CELERY_BROKER_URL": url,
            "PYTHONPATH": path,
            "LOG_LEVEL": "WARNING",
            **(env or {}),
        }
        self.redis = redis.Redis.from_url(url, socket_timeout=None, decode_responses=True)
        self.children: list[Child] = []
        self.results: dict[str, list[dict[str, float]]] = {}

    def start(self) -> None:
        """Start its processes and warm them up."""
        if self.kind == "ours":
            migrate = Child("migrate", [sys.executable, "-m", "django", "migrate", "--verbosity", "0"], self.env)
            assert migrate.popen.wait() == 0, migrate.text()
            self.recorder = Child("recorder", [sys.executable, "-m", "django", "record"], self.env)
        app, more, queue = (
            ("image", ["-I", "bench_ours"], "default") if self.kind == "ours" else ("bench_peer", [], "celery")
        )
        argv = [sys.executable, "-m", "celery", "-A", app, "worker", *more, "-c", 2, "-Q", queue, "-l", "WARNING"]
        argv += ["-n", f"{self.name}@bench", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        self.worker = Child(f"worker-{self.name}", argv, self.env)
        self.listener = self.redis.pubsub(ignore_subscribe_messages=True)
        import subprocess

        self.driver = subprocess.Popen(
            [sys.executable, "-c", DRIVER, self.kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **self.env}, cwd=surroundings.ROOT,
        )  # fmt: skip
        self.run("chain20" if self.name == "canvas" else "fan20", 60)
        self.results.clear()

    def can(self, name: str, number: int) -> bool:
        """Return whether it takes part in this graph and round."""
        if self.name == "dyrygent":  # its time is its tick's, and does not vary
            return not name.startswith("chain") and number < 2
        if self.name == "canvas":
            return name.startswith("chain")
        return not (self.name == "canvas+redis" and int(name.lstrip("chainfdg")) > 1000)

    def run(self, name: str, seconds: float) -> None:
        """Run one graph and measure it."""
        key, shape = f"mark:{time.monotonic_ns()}", graph(name)
        if self.kind == "ours":
            self.listener.psubscribe("image:live:workflow:*")
        before = self.worker.cpu(), self._bytes()
        self.driver.stdin.write(json.dumps([name, shape, key]) + "\n")
        self.driver.stdin.flush()
        began, sent, into_redis = json.loads(self.driver.stdout.readline())
        answer = self.redis.brpop(key, timeout=seconds)
        if answer is None:
            print(f"{self.name} did not finish {name} in {seconds:.0f} s")
            self.redis.flushdb()
            return
        time.sleep(0.1)
        after = self.worker.cpu(), self._bytes()
        total = float(answer[1]) - began
        measured = {
            "total": total * 1e3,
            "submit": (sent - began) * 1e3,
            "redis": into_redis * 1e3,
            "cpu": (after[0] - before[0]) / len(shape) * 1e6,
            "bytes": (after[1] - before[1]) / len(shape),
        }
        self.results.setdefault(name, []).append(measured)
        if self.kind == "ours":
            surroundings.wait_for(lambda: not self.redis.xlen("image:events"), 120, "the database")

    def _bytes(self) -> int:
        return int(self.redis.info("stats")["total_net_input_bytes"])

    def stop(self) -> None:
        """Stop its processes."""
        self.driver.kill()
        self.worker.stop()
        if self.kind == "ours":
            self.recorder.stop()


def install_dyrygent() -> bool:
    """Install the peer into a temporary folder; return whether that worked."""
    argv = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        FOLDER / "peer",
        "celery-dyrygent==0.8.0",
    ]
    return Child("install", argv).popen.wait() == 0


def ratio(ours: list[dict[str, float]], peers: list[dict[str, float]], what: str) -> str:
    """Return the median of ours / peer over the rounds."""
    pairs = [a[what] / b[what] for a, b in zip(ours, peers, strict=False) if b[what]]
    return spread(pairs) if pairs else "-"


def main() -> None:
    """Print what each engine needs for each graph, and the ratios."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--graphs", default="chain100,chain1000,fan1000,dag1000")
    options.add_argument("--engines", default="ours,floor,canvas,canvas+redis,plain,dyrygent")
    options.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    options.add_argument("--seconds", type=float, default=180)
    asked = options.parse_args()
    (FOLDER / "bench_ours.py").write_text(OURS)
    (FOLDER / "bench_peer.py").write_text(PEER)
    (FOLDER / "bench_kombu.py").write_text(KOMBU)
    names = asked.engines.split(",")
    if "dyrygent" in names and not install_dyrygent():
        print("celery-dyrygent could not be installed: it is left out.")
        names.remove("dyrygent")
    with surroundings.postgresql() if asked.database == "postgresql" else _nothing() as url:
        measure(names, asked, {"DATABASE_URL": url} if url else {})


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def measure(names: list[str], asked: argparse.Namespace, database: dict[str, str]) -> None:
    """Run the rounds and print."""
    made = {
        "ours": lambda: Engine("ours", 1, database),
        "kombu": lambda: Engine("kombu", 7, {**database, "DJANGO_SETTINGS_MODULE": "bench_kombu"}, "ours"),
        "floor": lambda: Engine("floor", 2),
        "canvas": lambda: Engine("canvas", 3),
        "canvas+redis": lambda: Engine("canvas+redis", 4, {"PEER_RESULTS": "1"}, "canvas"),
        "plain": lambda: Engine("plain", 5),
        "dyrygent": lambda: Engine("dyrygent", 6, {"PEER_RESULTS": "1"}),
    }
    engines = [made[name]() for name in names]
    try:
        for engine in engines:
            engine.start()
        for number in range(asked.rounds):
            for name in asked.graphs.split(","):
                for engine in engines:
                    if engine.can(name, number):
                        engine.run(name, asked.seconds)
                        last = (engine.results.get(name) or [{}])[-1]
                        print(
                            number,
                            name,
                            engine.name,
                            {k: round(v, 1) for k, v in last.items()},
                            file=sys.stderr,
                            flush=True,
                        )
        report(engines, asked.graphs.split(","))
    finally:
        for engine in engines:
            engine.stop()


def report(engines: list[Engine], graphs: list[str]) -> None:
    """Print the tables."""
    rows: list[list[object]] = [["graph", "engine", "total ms", "submit ms", "worker CPU us/node", "bytes in/node"]]
    ratios: list[list[object]] = [
        [
            "graph",
            "peer",
            "total: ours / peer",
            "submit: ours / peer",
            "submit without the database",
            "CPU: ours / peer",
        ]
    ]
    ours = next((engine for engine in engines if engine.name == "ours"), None)
    for name in graphs:
        for engine in engines:
            found = engine.results.get(name)
            if not found:
                continue
            rows.append(
                [
                    name,
                    engine.name,
                    *(spread([one[key] for one in found], 1) for key in ("total", "submit", "cpu")),
                    round(middle([one["bytes"] for one in found])),
                ]
            )
            if ours is not None and engine is not ours and name in ours.results:
                mine = ours.results[name]
                without = [a["redis"] / b["submit"] for a, b in zip(mine, found, strict=False) if b["submit"]]
                ratios.append(
                    [
                        name,
                        engine.name,
                        *(ratio(mine, found, key) for key in ("total", "submit")),
                        spread(without) if without else "-",
                        ratio(mine, found, "cpu"),
                    ]
                )
    table("Workflows", rows)
    table("Ratios", ratios)


if __name__ == "__main__":
    main()
