"""Typed options of an app, read from the settings: an annotated class attribute gives name, type and default."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from django.conf import settings as django_settings
from django.core.signals import setting_changed

# Every AppSettings there is; `jobroom.checks` looks for misspelt settings with it.
registry: list["AppSettings"] = []
# The one Django setting that holds the options of Jobroom.
DICTIONARY = "JOBROOM"


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
            default = object.__getattribute__(self, name)
            known[name] = self.read(self.key(name), default)
        return known[name]

    def read(self, key: str, default: Any) -> Any:
        """Return what the project says about an option, else its default."""
        return getattr(django_settings, key, default)

    @classmethod
    def key(cls, name: str) -> str:
        """Return what the option is called in the project's settings."""
        return f"{cls.prefix}_{name}" if cls.prefix else name

    @classmethod
    def names(cls) -> list[str]:
        """Return what all options of this app are called in the project's settings."""
        return [cls.key(name) for name in vars(cls) if name.isupper()]

    def misspelt(self) -> Iterator[tuple[str, str]]:
        """Return what looks like an option of this app and is none, each with a hint."""
        known = self.names()
        for name in dir(django_settings):
            if name.startswith(f"{self.prefix}_") and name not in known:
                yield name, suggestion(name, known)


class Computed:
    """A default that depends on the rest of the project: found when it is read."""

    def __init__(self, find: Callable[[], Any]) -> None:
        self.find = find


def computed(find: Callable[[], Any]) -> Any:
    """Return a default that `find` gives; typed as whatever the option is."""
    return Computed(find)


class JobroomSettings(AppSettings):
    """Options of Jobroom itself: entries of the dictionary `JOBROOM`, `<PREFIX>_<NAME>` or the name alone."""

    def read(self, key: str, default: Any) -> Any:
        """Return the entry of the dictionary, else the default."""
        found = dictionary()
        if key in found:
            return found[key]
        return default.find() if isinstance(default, Computed) else default

    def misspelt(self) -> Iterator[tuple[str, str]]:
        """Return nothing: `unknown_keys` looks at the dictionary as a whole."""
        yield from ()


def dictionary() -> Mapping[str, Any]:
    """Return the project's `JOBROOM`; empty where it has none, or one that is no dictionary (a check says so)."""
    found = getattr(django_settings, DICTIONARY, None)
    return found if isinstance(found, Mapping) else {}


def unknown_keys() -> Iterator[tuple[str, str]]:
    """Return the entries of `JOBROOM` that nothing reads, each with a hint."""
    known = [name for options in registry if isinstance(options, JobroomSettings) for name in options.names()]
    for key in dictionary():
        if key not in known:
            yield str(key), suggestion(str(key), known)


def suggestion(name: str, known: list[str]) -> str:
    """Return what to write instead of a name that is not known."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(sorted(known))}."


def _read_again(**_: Any) -> None:
    for options in registry:
        options.known.clear()


# Sent by tests alone; in a process that runs the settings stay what they are.
setting_changed.connect(_read_again, dispatch_uid="jobroom.conf")


def _broker() -> str:
    """Return the broker's address where that is a Redis, else the usual address of one on this machine."""
    from celery import current_app

    url = str(current_app.conf.broker_url or "")
    return url if url.startswith(("redis://", "rediss://", "unix://")) else "redis://127.0.0.1:6379/0"


def _default_queue() -> list[str]:
    from celery import current_app

    return [str(current_app.conf.task_default_queue)]


class CommonSettings(JobroomSettings):
    """Options of the task infrastructure."""

    prefix = ""

    # The Redis that holds locks, events and live updates. Without one: the broker, where that is a Redis.
    REDIS_URL: str = computed(_broker)
    # The queues that people may choose, and that must have a worker for `/readyz`. Without one: Celery's default queue.
    QUEUES: list[str] = computed(_default_queue)
    # Names of tasks whose jobs are not recorded, `*` for any characters: ("other_app.*", "thumbnails.make").
    UNTRACKED: tuple[str, ...] = ()
    # Whether jobs make spans for OpenTelemetry (needs django-jobroom[tracing]), and the address of a trace for the page of
    # its job: "https://traces.example.org/trace/{trace_id}".
    TRACING: bool = False
    TRACE_URL: str = ""
    # Where people find the site, for links in mails: scheme and host, and its path where it lies below one.
    SITE_URL: str = "http://127.0.0.1:8000"
    # The mail backend that sends in the end, where EMAIL_BACKEND only puts mails into the queue.
    EMAIL_TRANSPORT: str = "django.core.mail.backends.smtp.EmailBackend"
    # Every key of ours in Redis begins with this.
    REDIS_PREFIX: str = "jobroom:"
    # Requests that the web server works on at the same time; those that wait for a job are not counted.
    SERVER_THREADS: int = 12
    # Seconds after which the lock of a vanished holder is free again.
    LOCK_TTL: float = 30.0
    # Longest time in seconds that a blocking exclusive task waits for its lock.
    LOCK_WAIT: float = 3600.0
    # Queues on which each person has a turn after the other, no matter who sent how much before.
    FAIR_QUEUES: list[str] = []
    # Seconds between two heartbeats of a worker, and after how many a silent one counts as gone.
    HEARTBEAT_INTERVAL: float = 2.0
    HEARTBEAT_TIMEOUT: float = 15.0
    # The same for pools that run jobs in the worker's own process, where a long computation may silence the heartbeat.
    # Above the life of a lock, which such a computation loses first; low enough to rescue within a minute.
    HEARTBEAT_TIMEOUT_SOLO: float = 45.0
    # Seconds after which a worker whose loop does not turn is said to take no jobs, although it beats.
    LOOP_TIMEOUT: float = 15.0
    # So many times a job may lose its worker or its process before it is not run again.
    MAX_LOST: int = 3
    # So many times a job may put its message back by Reject(requeue=True) before it fails.
    MAX_REJECTED: int = 100
    # Least time in seconds between two progress messages of one job.
    PROGRESS_INTERVAL: float = 0.2
    # Most events kept in the stream when no one records them.
    EVENTS_KEPT: int = 1_000_000
    # How many progress and log events of one job a page can catch up on, and for how many seconds after the last one.
    REPLAY_KEPT: int = 1000
    REPLAY_SECONDS: int = 3600
    # Seconds for which a request to cancel is kept for a job that no one has started.
    CANCEL_KEPT: int = 30 * 24 * 3600
    # Seconds for which the steps of a job (`self.step`) are kept after the last of them.
    STEPS_KEPT: int = 30 * 24 * 3600
    # Seconds for which an attempt that has ended is remembered, so that a second message of it does not start it again.
    ATTEMPT_KEPT: int = 3600
    # Seconds that a publish waits for the broker to confirm the message, and after which it is not tried again.
    PUBLISH_TIMEOUT: float = 10.0
    # A worker takes a message from a busy Redis queue, notes it and acknowledges the one before in one step.
    TAKE_IN_ONE_STEP: bool = True
    # A message for later than in so many seconds is kept until so many seconds before its time; no worker holds it meanwhile.
    HELD_AT_MOST: float = 30.0
    SENT_BEFORE: float = 5.0
    # Longest result, in characters of JSON, that is written into the database; Celery's own backend keeps it whole.
    RESULT_LIMIT: int = 100_000
    # Most characters of what a job says: its error, its traceback, one line of its log, the message of its progress, and
    # one line that a process prints. What is longer keeps its head and its tail.
    ERROR_LIMIT: int = 10_000
    TRACEBACK_LIMIT: int = 50_000
    LOG_LINE_LIMIT: int = 10_000
    PROGRESS_MESSAGE_LIMIT: int = 500
    OUTPUT_LINE_LIMIT: int = 10_000
    # Whether what is left out is kept whole as a file of the job; a task may say otherwise (`keep_whole`).
    KEEP_WHOLE: bool = False
    # Most bytes of a message, with its arguments, and of a result; larger things belong into files.
    MESSAGE_LIMIT: int = 16_000_000
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
