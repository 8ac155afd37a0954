"""One resource in one process: loading it, handing it to jobs, replacing it, dropping it.

A job keeps the object that it began with, because it holds the reference; a new version only changes what the next
job is given. Loads of one process follow each other, so that each growth of memory has one cause.
"""

import dataclasses
import enum
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jobroom import safe_text, truncation
from jobroom.conf import settings
from jobroom.resources.exceptions import ResourceNotReady
from jobroom.resources.memory import resident

if TYPE_CHECKING:
    from jobroom.resources.declaration import Resource

logger = logging.getLogger(__name__)

# Characters of an error of a loader.
SAID = 500


class State(enum.StrEnum):
    """What a process can say of a resource."""

    WAITING = "waiting"  # no one has started to load it
    LOADING = "loading"  # the first time, or again after it failed
    READY = "ready"
    FAILED = "failed"  # the loader raised, or the object is unhealthy; tried again later
    UNLOADED = "unloaded"  # dropped after a time without use; the next job loads it


@dataclasses.dataclass(frozen=True)
class Loaded:
    """An object with what is known about it; replaced as a whole, so that readers need no lock."""

    value: Any
    version: str | None
    size: int  # bytes
    at: float  # seconds since 1970 on this machine's clock
    seconds: float  # that the load took


class Held:
    """One resource in this process."""

    # One load at a time in a process.
    turn = threading.RLock()

    def __init__(self, resource: "Resource[Any]", changed: Callable[[], None] = lambda: None) -> None:
        """Take the resource, and whom to notify when anything that `describe` says has changed."""
        self.resource = resource
        self.changed = changed
        self.loaded: Loaded | None = None
        self.state = State.WAITING
        self.since = time.time()
        self.error = ""
        self.attempts = 0  # failed ones in a row
        self.retry_at = 0.0
        self.next_version: str | None = None  # being loaded while the old one goes on
        self.refused: str | None = None  # a version that failed while the old one goes on
        self.last_used = 0.0
        self.users = 0
        self.counting = threading.Lock()
        self.inherited = False  # by fork: this process never loads it
        self.checked = 0.0
        self.examined = 0.0

    @property
    def name(self) -> str:
        """The resource's name."""
        return self.resource.name

    # For jobs

    @contextmanager
    def use(self) -> Iterator[Any]:
        """Give the object for as long as the block lasts; raise ResourceNotReady when there is none to be had now."""
        self._count(1)
        try:
            loaded = self.loaded or self._obtain()
            self.last_used = time.time()
            yield loaded.value
        finally:
            self._count(-1)
            self.last_used = time.time()
            self.changed()

    def _count(self, more: int) -> None:
        with self.counting:
            self.users += more

    def _obtain(self) -> Loaded:
        """Wait for a load that goes on, or load what was dropped."""
        if self.inherited:
            raise self._not_ready()
        with self.turn:
            if self.loaded is None and self.state is State.FAILED and time.time() < self.retry_at:
                raise self._not_ready()
            if self.loaded is None:
                self.load()
        if self.loaded is None:
            raise self._not_ready()
        return self.loaded

    def _not_ready(self) -> ResourceNotReady:
        wait = max(1.0, self.retry_at - time.time()) if self.state is State.FAILED else 1.0
        return ResourceNotReady(self.name, self.error or "it is being loaded.", wait)

    # For the keeper

    @property
    def available(self) -> bool:
        """Whether a job could have the object, at once or after loading what was dropped."""
        return self.loaded is not None or self.state is State.UNLOADED

    def load(self) -> bool:
        """Load it, or its new version; return whether that went well. Whatever the loader raises becomes the state."""
        with self.turn:
            return self._load()

    def _load(self) -> bool:
        began, before = time.time(), resident()
        try:
            version = self.resource.current_version()
            if self.loaded is None:
                self._be(State.LOADING)
            else:
                self.next_version = version or "again"
                self.changed()
            value = self.resource.load(version)
            size = self._size(value, before)
        except (Exception, SystemExit) as error:  # noqa: BLE001 — the boundary: authors' code, and its failure is a state
            self._failed(error)
            return False
        self.loaded = Loaded(value, version, size, time.time(), time.time() - began)
        self.next_version = self.refused = None
        self.attempts, self.error, self.retry_at = 0, "", 0.0
        self.examined = self.checked = time.time()
        self._be(State.READY)
        logger.info("Resource %s is loaded (version %s, %.1f s)", self.name, version or "none", self.loaded.seconds)
        return True

    def _size(self, value: Any, before: int) -> int:
        return int(self.resource.sizeof(value)) if self.resource.sizeof is not None else max(0, resident() - before)

    def _failed(self, error: BaseException) -> None:
        self.attempts += 1
        self.error = truncation.shorten(f"{safe_text.error_type(error)}: {safe_text.error_text(error)}", SAID)
        pause = min(settings.RESOURCE_RETRY_MOST, settings.RESOURCE_RETRY * 2.0 ** (self.attempts - 1))
        self.retry_at = time.time() + pause
        self.refused, self.next_version = self.next_version, None
        logger.error("Resource %s could not be loaded, next try in %.0f s", self.name, pause, exc_info=error)
        if self.loaded is None:
            self._be(State.FAILED)
        else:
            self.changed()

    def step(self) -> None:
        """Do what is due: the first load, another try, a new version, a look at its health, dropping it."""
        now = time.time()
        if self.inherited or now < self.retry_at:
            return
        if self.state in {State.WAITING, State.FAILED}:
            self.load()
        elif self.state is State.READY:
            self._drop_when_idle(now)
            self._examine(now)
            self._renew(now)

    def _renew(self, now: float) -> None:
        if self.loaded is None or now - self.checked < settings.RESOURCE_CHECK:
            return
        self.checked = now
        try:
            version = self.resource.current_version()
        except Exception as error:  # noqa: BLE001 — the boundary: the object in hand goes on
            logger.warning("No one can tell the version of resource %s: %s", self.name, safe_text.repr_of(error))
            return
        if version != self.loaded.version:
            logger.info("Resource %s has version %s instead of %s", self.name, version, self.loaded.version)
            self.load()

    def _examine(self, now: float) -> None:
        if self.loaded is None or self.resource.health is None or now - self.examined < settings.RESOURCE_HEALTH:
            return
        self.examined = now
        try:
            answer = self.resource.health(self.loaded.value)
        except Exception as error:  # noqa: BLE001 — the boundary: that it raises is the answer
            answer = f"{safe_text.error_type(error)}: {safe_text.error_text(error)}"
        if answer is False or (isinstance(answer, str) and answer):
            logger.error("Resource %s is unhealthy and is reloaded: %s", self.name, answer)
            self.loaded = None
            self.error = f"Unhealthy: {answer}" if answer else "Unhealthy."
            self._be(State.FAILED)
            self.load()

    def _drop_when_idle(self, now: float) -> None:
        limit = self.resource.idle_unload
        if limit is None or self.loaded is None or self.users:
            return
        if now - max(self.last_used, self.loaded.at) >= limit:
            self.loaded = None
            self._be(State.UNLOADED)
            logger.info("Resource %s was not used for %.0f s and is dropped", self.name, limit)

    def _be(self, state: State) -> None:
        if state is not self.state:
            self.state, self.since = state, time.time()
        self.changed()

    def inherit(self, loaded: Loaded | None, error: str = "") -> None:
        """Take over what the parent process had loaded when it forked."""
        self.inherited, self.loaded, self.error = True, loaded, error
        self.state = State.READY if loaded is not None else State.WAITING

    def describe(self) -> dict[str, Any]:
        """Return what the heartbeat reports of it; times in seconds since 1970 on this machine's clock."""
        loaded = self.loaded
        return {
            "name": self.name,
            "state": str(self.state),
            "since": self.since,
            "version": loaded.version if loaded else None,
            "size": loaded.size if loaded else 0,
            "loaded_at": loaded.at if loaded else 0.0,
            "seconds": loaded.seconds if loaded else 0.0,
            "last_used": self.last_used,
            "error": self.error,
            "attempts": self.attempts,
            "retry_at": self.retry_at,
            "next_version": self.next_version,
            "refused": self.refused,
        }
