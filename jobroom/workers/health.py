"""The health sentence: what is wrong, since when, and what to do next, for page and command."""

import contextlib
import dataclasses
import threading
import time
from datetime import UTC, datetime

from jobroom import exhaustion, redis
from jobroom.exceptions import RedisUnavailable
from jobroom.health import Part
from jobroom.workers import probes

# The most severe first: what the others stand on.
ORDER = ("database", "migrations", "redis", "disk", "parts", "workers", "recorder", "beat", "mails", "rounds")
# Part → what to do when it is in trouble, and the page that says more.
ADVICE = {
    "database": ("Start the database, or correct its address in the settings.", ""),
    "migrations": ("Run `manage.py migrate`.", ""),
    "redis": ("Start Redis, or correct its address in the settings.", ""),
    "parts": ("Read its log in the data folder.", ""),
    "workers": ("Start the worker again, or wait until it is back.", "jobroom:workers:workers"),
    "beat": ("Start Celery's beat: `manage.py jobroom up` runs all parts.", ""),
    "recorder": ("Start one: `manage.py jobroom record`, or `manage.py jobroom up` with all parts.", ""),
    "rounds": ("Read the log of the recorder.", ""),
}
# When a trouble was first noticed, of parts that do not know when theirs began; used while Redis does not answer.
_noticed: dict[str, float] = {}
# Every open page asks for the sentence, so pages share an answer of so many seconds ago.
SHARED = 5.0
_asking = threading.Lock()
_latest: list[tuple[float, "Health"]] = []  # when it was asked, on a clock that only goes forward, and what came of it


@dataclasses.dataclass(frozen=True)
class Trouble:
    """One part in trouble."""

    part: str
    what: str
    since: datetime
    at_least: bool  # whether it may be older: `since` is when it was noticed
    action: str
    url: str

    def __str__(self) -> str:
        since = f"{'at least since' if self.at_least else 'since'} {self.since:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.part}: {self.what} ({since}) {self.action}".rstrip()


@dataclasses.dataclass(frozen=True)
class Health:
    """All parts, and those in trouble, the most severe first."""

    parts: dict[str, Part]
    troubles: list[Trouble]

    @property
    def ready(self) -> bool:
        """Whether `/readyz` says so too."""
        return all(part.ok for part in self.parts.values())


def current() -> Health:
    """Ask every part now; never raises."""
    parts = probes.ready()
    noticed = _since(parts)
    names = sorted((name for name, part in parts.items() if _speaks(name, parts)), key=_rank)
    return Health(parts, [_trouble(name, parts[name], noticed[name]) for name in names])


def recent() -> Health:
    """Return what `current` said at most `SHARED` seconds ago; of many who ask at once, one asks and the others wait."""
    with _asking:
        if not _latest or time.monotonic() - _latest[0][0] > SHARED:
            _latest[:] = [(time.monotonic(), current())]
        return _latest[0][1]


def forget() -> None:
    """Let the next question ask every part again."""
    _latest.clear()


def _speaks(name: str, parts: dict[str, Part]) -> bool:
    """Return whether a part is in trouble of its own: while Redis is away, most others only know that it is."""
    return parts[name].troubled and (parts["redis"].ok or name in {"redis", "database", "migrations", "disk", "parts"})


def _rank(name: str) -> tuple[bool, int]:
    return (False, ORDER.index(name)) if name in ORDER else (True, 0)


def _trouble(name: str, part: Part, noticed: float) -> Trouble:
    action, url = ADVICE.get(name, ("", ""))
    since = part.since if part.since is not None else noticed
    return Trouble(
        part=name,
        what=part.detail,
        since=datetime.fromtimestamp(since, UTC),
        at_least=part.since is None,
        action=part.action or ("" if exhaustion.names_remedy(part.detail) else action),
        url=part.url or url,
    )


def _since(parts: dict[str, Part]) -> dict[str, float]:
    """Return when each part in trouble was first seen in it; all processes share what they have noticed."""
    troubled = [name for name, part in parts.items() if part.troubled]
    for name in [name for name in _noticed if name not in troubled]:
        del _noticed[name]
    now = time.time()
    for name in troubled:
        _noticed.setdefault(name, now)
    if parts["redis"].ok:
        # If it goes away this moment, what this process has noticed will do.
        with contextlib.suppress(redis.Error, RedisUnavailable, OSError):
            _noticed.update(_shared(troubled, now))
    return {name: _noticed[name] for name in troubled}


def _shared(troubled: list[str], now: float) -> dict[str, float]:
    client = redis.client()
    key = redis.key("health")
    known = {name: float(at) for name, at in client.hgetall(key).items()}
    over = [name for name in known if name not in troubled]
    with client.pipeline(transaction=False) as together:
        if over:
            together.hdel(key, *over)
        for name in troubled:
            if name not in known:
                together.hsetnx(key, name, min(_noticed.get(name, now), now))
        together.execute()
    return {name: known.get(name, _noticed[name]) for name in troubled}
