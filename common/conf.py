"""Typed options of an app: an annotated class attribute is name, type and default at once."""

from typing import Any, ClassVar

from django.conf import settings as django_settings
from django.core.signals import setting_changed

# Every AppSettings there is; `common.checks` looks for misspelt settings with it.
registry: list["AppSettings"] = []


class AppSettings:
    """Options of one app; a read falls through, at call time, to the Django setting `<PREFIX>_<NAME>`."""

    prefix: ClassVar[str]

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        registry.append(self)

    def __getattribute__(self, name: str) -> Any:
        if not name.isupper():
            return object.__getattribute__(self, name)
        known: dict[str, Any] = object.__getattribute__(self, "known")
        # Every job reads some: Django's own look-up is five times slower.
        if name not in known:
            known[name] = getattr(django_settings, f"{self.prefix}_{name}", object.__getattribute__(self, name))
        return known[name]

    @classmethod
    def names(cls) -> list[str]:
        """Return the Django settings that this app reads."""
        return [f"{cls.prefix}_{name}" for name in vars(cls) if name.isupper()]


def _read_again(**_: Any) -> None:
    for options in registry:
        options.known.clear()


# Sent by tests alone; in a process that runs the settings stay what they are.
setting_changed.connect(_read_again, dispatch_uid="common.conf")


class CommonSettings(AppSettings):
    """Options of the task infrastructure."""

    prefix = "COMMON"

    # Every key of ours in Redis begins with this.
    REDIS_PREFIX: str = "image:"
    # Requests that the web server works on at the same time; those that wait for a job are not counted.
    SERVER_THREADS: int = 12
    # Seconds after which the lock of a vanished holder is free again.
    LOCK_TTL: float = 30.0
    # Longest time in seconds that a blocking exclusive task waits for its lock.
    LOCK_WAIT: float = 3600.0
    # Seconds between two heartbeats of a worker, and after how many a silent one counts as gone.
    HEARTBEAT_INTERVAL: float = 2.0
    HEARTBEAT_TIMEOUT: float = 15.0
    # The same for pools that run jobs in the worker's own process, where a long computation may silence the heartbeat.
    # Above the life of a lock, which such a computation loses first; low enough to rescue within a minute.
    HEARTBEAT_TIMEOUT_SOLO: float = 45.0
    # So many times a job may lose its worker or its process before it is not run again.
    MAX_LOST: int = 3
    # Least time in seconds between two progress messages of one job.
    PROGRESS_INTERVAL: float = 0.2
    # Most events kept in the stream when nobody records them.
    EVENTS_KEPT: int = 1_000_000
    # How many progress and log events of one job a page can catch up on, and for how many seconds after the last one.
    REPLAY_KEPT: int = 1000
    REPLAY_SECONDS: int = 3600
    # Seconds for which a request to cancel is kept for a job that nobody has started.
    CANCEL_KEPT: int = 30 * 24 * 3600
    # Longest result, in characters of JSON, that is written into the book; Celery's own backend keeps it whole.
    RESULT_LIMIT: int = 100_000
    # Answers that tasks keep (`cache_for`): most bytes of one, of all together, and how long one is kept at most.
    ANSWER_LIMIT: int = 1_000_000
    ANSWERS_LIMIT: int = 64_000_000
    ANSWERS_MAX_AGE: float = 30 * 24 * 3600.0
    # Most answers that a question is compared with when the answer of a near-duplicate will do.
    ANSWERS_COMPARED: int = 200
    # Names of arguments and keys that are hidden from pages, logs and mails (regular expression, any case).
    SECRET_NAMES: str = r"passw(or)?d|secret|token|api_?key|authori[sz]ation|credential|private_?key|cookie"  # noqa: S105 — names
    # So many mails about the same error within the window go out one by one, the rest in one summary.
    FAILURE_MAIL_BURST: int = 5
    FAILURE_MAIL_WINDOW: float = 600.0
    # Seconds between two questions for the version of a resource, and between two for its health.
    RESOURCE_CHECK: float = 5.0
    RESOURCE_HEALTH: float = 30.0
    # Seconds before a resource that could not be loaded is tried again; doubled each time up to the second one.
    RESOURCE_RETRY: float = 2.0
    RESOURCE_RETRY_MOST: float = 300.0
    # Seconds that a pool process may take to load its resources before it is killed and another one tries.
    RESOURCE_LOAD_LIMIT: float = 3600.0


settings = CommonSettings()
