"""What the benchmarks share: private servers, child processes, medians, tables.

Import it first: it gives the process a Redis of its own (and SQLite in a temporary folder) before the settings are
read. Nothing of it is left behind.
"""

import atexit
import contextlib
import importlib.util
import os
import platform
import pwd
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import manage  # noqa: E402 — only the standard library: it sets up what is missing, as `manage.py test` does

try:
    manage.bootstrap(sys.argv[1:], Path(sys.argv[0]).resolve(), ["requirements.txt", "requirements-dev.txt"])
except manage.SetupProblem as problem:
    sys.exit(f"{sys.argv[0]}: {problem}")
if importlib.util.find_spec("pytest") is None:
    sys.exit(f"The benchmarks need the test requirements: {sys.executable} -m pip install -r requirements-dev.txt")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "image.settings")
os.environ.setdefault("LOG_LEVEL", "WARNING")
_level = os.environ["LOG_LEVEL"]

import jobroom.testing.plugin  # noqa: E402, F401 — a private Redis, made before the settings are read

os.environ["LOG_LEVEL"] = _level
FOLDER = Path(os.environ["IMAGE_VAR"])
# So that everything is stopped and removed also when this process is asked to end.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

_PROGRAMS = [Path("/usr/lib/postgresql") / str(version) / "bin" for version in range(20, 12, -1)]


def redis_url(number: int = 0) -> str:
    """Return the address of database `number` of the private Redis."""
    return f"{os.environ['REDIS_URL'].rpartition('/')[0]}/{number}"


def setup(**settings: object) -> None:
    """Set up Django, with `settings` on top of the project's."""
    import django
    from django.conf import settings as project

    for name, value in settings.items():
        setattr(project, name, value)
    django.setup()


class Child:
    """A process in a session of its own, its output in a file; stopped when the block ends."""

    def __init__(self, name: str, argv: Sequence[object], env: Mapping[str, str] | None = None) -> None:
        self.log = FOLDER / f"{name}.log"
        with self.log.open("ab") as out:
            self.popen = subprocess.Popen(
                [str(part) for part in argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
                start_new_session=True,
            )
        atexit.register(self.stop)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def text(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        self.popen.send_signal(number)

    def stop(self, seconds: float = 15) -> None:
        """Ask it to end, wait, kill what is left."""
        if self.popen.poll() is None:
            self.popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def cpu(self) -> float:
        """Return the processor seconds of the process and its children that live."""
        return sum(_cpu(pid) for pid in [self.popen.pid, *_children(self.popen.pid)])

    def memory(self) -> int:
        """Return the resident bytes of the process alone."""
        pages = int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(fact: Callable[[], object], seconds: float, what: str) -> None:
    """Return when `fact()` is true; raise TimeoutError after `seconds`."""
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end:
            raise TimeoutError(f"Waited {seconds:.0f} s in vain: {what}")
        time.sleep(0.02)


@contextlib.contextmanager
def postgresql() -> Iterator[str | None]:
    """Run a private PostgreSQL and give its address; None, with a sentence of why, where it is not installed."""
    programs = next((folder for folder in _PROGRAMS if (folder / "initdb").exists()), None)
    if programs is None:
        print("PostgreSQL is not installed here (looked in /usr/lib/postgresql/*/bin): its part is left out.")
        yield None
        return
    # The server refuses to run as root.
    account = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    switch = ["runuser", "-u", account, "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="image-bench-pg-"))
    if switch:
        shutil.chown(folder, account)
    port = _free_port()
    password = secrets.token_urlsafe(16)
    data, word = folder / "data", folder / "word"
    word.write_text(password)
    if switch:
        shutil.chown(word, account)
    subprocess.run(
        [
            *switch,
            programs / "initdb",
            "-D",
            data,
            "-A",
            "scram-sha-256",
            "-U",
            "bench",
            f"--pwfile={word}",
            "-E",
            "UTF8",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    # What a small server is given in practice; durability as it comes.
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c shared_buffers=512MB -c max_wal_size=4GB"
    control = [*switch, programs / "pg_ctl", "-D", data, "-l", folder / "log", "-w"]
    subprocess.run([*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        yield f"postgres://bench:{password}@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, stdout=subprocess.DEVNULL, cwd=folder)
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    from jobroom.runner.redis_server import free_port

    return free_port()


def timed(work: Callable[[], object], calls: int) -> float:
    """Return the microseconds of one call."""
    began = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - began) / calls * 1e6


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return `median [least - most]`."""
    return f"{middle(values):.{digits}f} [{min(values):.{digits}f} - {max(values):.{digits}f}]"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(title: str, rows: Sequence[Sequence[object]]) -> None:
    """Print rows, the first being the heading, with the machine and the day."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    day = time.strftime("%Y-%m-%d", time.gmtime())
    print(
        f"\n{title} — {day}, {os.cpu_count()} x {model}, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    )
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))]
    for number, row in enumerate(texts):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    sys.stdout.flush()


def verdict(value: float, limit: float, *, at_least: bool = False) -> str:
    """Return `met` or `missed`."""
    return "met" if (value >= limit if at_least else value <= limit) else "MISSED"
