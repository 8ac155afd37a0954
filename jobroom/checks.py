"""Django system checks (`manage.py check`) of what all apps share: settings, Celery and Redis."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import IntegerField

from jobroom import conf, file_permissions, private_names, upgrade
from jobroom.celery import traces
from jobroom.locks.batch import Batch, batch_of
from jobroom.locks.debounce import debounce_of
from jobroom.locks.limit import limit_of
from jobroom.resources.registry import declared, suggestion
from jobroom.runner.preparation import PRIVATE_PROBLEM, PRIVATE_REMEDY

# The releases of Celery with which the whole suite and the wheel in a project of its own were run. The wheel installs beside
# later ones of the same major version; that they work was not seen.
TRIED = ("5.7",)
# The databases, as Django calls them, for which statements are written.
DATABASES = frozenset({"postgresql", "sqlite"})


def connect() -> None:
    """Register the checks; twice is the same as once."""
    register(tried_celery)
    register(names_of_others)
    register(unregistered_tasks)
    register(misspelt_settings)
    register(resources_of_tasks)
    register(limits_of_tasks)
    register(data_folder)
    register(numbered_users)
    register(known_database)
    register(unserved_resources)
    register(pool_of_settings)
    register(tracing_settings)
    register(old_tables, Tags.database)


def tried_celery(**kwargs: Any) -> list[CheckMessage]:
    """Say with which releases of Celery Jobroom was tried, where the installed one is another."""
    import celery

    if ".".join(celery.__version__.split(".")[:2]) in TRIED:
        return []
    return [
        Warning(
            f"Jobroom was tried with Celery {' and '.join(TRIED)}, and {celery.__version__} is installed.",
            hint=f'Install "celery~={TRIED[-1]}.0", or try your tasks here before you rely on them.',
            id="jobroom.W005",
        )
    ]


def names_of_others(**kwargs: Any) -> list[CheckMessage]:
    """Say what is slower or left out where a release lacks a private name that is used here."""
    return [
        Warning(
            f"{found.owner.replace(':', '.')} has no {found.name} in the installed release. {found.without}",
            hint="Install a release that Jobroom was tried with: see docs/reference/supported-versions.md.",
            id="jobroom.W008",
        )
        for found in private_names.missing()
    ]


def known_database(**kwargs: Any) -> list[CheckMessage]:
    """Refuse a database whose SQL the recorder does not speak: migrations would go through, and no job be recorded."""
    vendor = connections[DEFAULT_DB_ALIAS].vendor
    if vendor in DATABASES:
        return []
    return [
        Error(
            f"The database `{DEFAULT_DB_ALIAS}` is {connections[DEFAULT_DB_ALIAS].display_name}, and Jobroom writes its history into PostgreSQL or SQLite.",
            hint=f"Let DATABASES[{DEFAULT_DB_ALIAS!r}] name one of them.",
            id="jobroom.E010",
        )
    ]


def numbered_users(**kwargs: Any) -> list[CheckMessage]:
    """Refuse a user model whose rows have no whole number as primary key: messages, counts and limits name people by it."""
    key = get_user_model()._meta.pk
    if isinstance(key, IntegerField):
        return []
    return [
        Error(
            f"The primary key of {django_settings.AUTH_USER_MODEL} is a {type(key).__name__}, and Jobroom needs a whole number.",
            hint="Take a user model with a BigAutoField as primary key; a UUID may be another field of it.",
            id="jobroom.E007",
        )
    ]


def pool_of_settings(**kwargs: Any) -> list[CheckMessage]:
    """Warn of a pool of greenlets that is named in the settings, where it comes too late."""
    from celery import current_app

    from jobroom.events.green import POOLS

    pool = str(current_app.conf.worker_pool or "")
    if pool not in POOLS:
        return []
    return [
        Warning(
            f"CELERY_WORKER_POOL is {pool}: Celery reads it after sockets and threads are loaded, which {pool} should have replaced.",
            hint=f"Start those workers with -P {pool}, and remove the setting.",
            id="jobroom.W007",
        )
    ]


def tracing_settings(**kwargs: Any) -> list[CheckMessage]:
    """Name what keeps traces, or the links to them, from coming about."""
    found: list[CheckMessage] = []
    if conf.settings.TRACING and not traces.is_installed():
        hint = "pip install 'django-jobroom[tracing]' where jobs are launched and run, or leave TRACING out."
        found.append(
            Error(
                "TRACING is on, and Celery's instrumentation for OpenTelemetry is not installed.",
                hint=hint,
                id="jobroom.E008",
            )
        )
    address = conf.settings.TRACE_URL
    if address and not (address.startswith(("https://", "http://")) and "{trace_id}" in address):
        hint = 'Write "https://traces.example.org/trace/{trace_id}".'
        found.append(Error(f"TRACE_URL is {address!r}, and no address of a trace.", hint=hint, id="jobroom.E009"))
    return found


def data_folder(**kwargs: Any) -> list[CheckMessage]:
    """Close the data folder to other users of the machine; name what in it cannot be closed."""
    folder = file_permissions.folder()
    failed = file_permissions.mend(folder) if folder is not None else []
    if not failed:
        return []
    problem = PRIVATE_PROBLEM.format(paths=file_permissions.describe(failed))
    return [Warning(problem, hint=PRIVATE_REMEDY, id="jobroom.W004")]


def _subclasses(cls: type) -> Iterator[type]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)


def unregistered_tasks(**kwargs: Any) -> list[CheckMessage]:
    """Name every class-based task that no worker would find, because no one registered it."""
    from celery import current_app

    from jobroom.tasks import BaseTask

    registered = {cls for task in current_app.tasks.values() for cls in type(task).__mro__}
    return [
        Error(
            f"{cls.__module__}.{cls.__qualname__} is a task that is not registered, so no worker knows it.",
            hint=f"Add `app.tasks.register({cls.__name__})` below the class, or give it no run() if it is only a base.",
            obj=cls,
            id="jobroom.E001",
        )
        for cls in _subclasses(BaseTask)
        if "run" in vars(cls) and cls not in registered
    ]


def misspelt_settings(**kwargs: Any) -> list[CheckMessage]:
    """Name every setting that looks like one of ours and is read by no app."""
    if not isinstance(getattr(django_settings, conf.DICTIONARY, {}), Mapping):
        hint = 'Write JOBROOM = {"LOCK_TTL": 30.0}; docs/reference/settings.md lists the keys.'
        return [Error("JOBROOM is not a dictionary.", hint=hint, id="jobroom.E004")]
    messages: list[CheckMessage] = [
        Warning(f"JOBROOM has no option {key!r}.", hint=hint, id="jobroom.W001") for key, hint in conf.unknown_keys()
    ]
    for options in conf.registry:
        for name, hint in options.misspelt():
            messages.append(Warning(f"{name} is not an option of ours.", hint=hint, id="jobroom.W001"))
    return messages


def resources_of_tasks(**kwargs: Any) -> list[CheckMessage]:
    """Name every resource that a task asks for and cannot have: unknown, on another queue, or hidden by an attribute."""
    from celery import current_app

    return [
        message
        for task in current_app.tasks.values()
        for name in getattr(task, "resources", ())
        for message in _resource_of(task, str(name))
    ]


def limits_of_tasks(**kwargs: Any) -> list[CheckMessage]:
    """Name every task whose limit, debounce or batch cannot be understood: it would change nothing."""
    from celery import current_app

    return [message for task in current_app.tasks.values() for message in _declarations_of(task)]


# What a task may declare of its calls: how it is read, and how it is written.
_DECLARED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "limit": (limit_of, 'Write limit=3, or limit=Limit(3, key="{argument}").'),
    "debounce": (debounce_of, 'Write debounce=10, or debounce=Debounce(10, at_most=60, key="{argument}").'),
    "batch": (batch_of, 'Write batch=Batch(100, seconds=5), or batch=Batch(100, key="{argument}").'),
}


def _declarations_of(task: Any) -> Iterator[CheckMessage]:
    for what, (read, hint) in _DECLARED.items():
        try:
            read(task)
        except (ValueError, TypeError) as error:
            said = f"The {what} of the task {task.name} cannot be kept: {error}"
            yield Error(said, hint=hint, obj=task, id="jobroom.E006")
    batch = getattr(task, "batch", None)
    if batch is not None and not isinstance(batch, Batch):
        yield Warning(
            f"The task {task.name} has an attribute batch, which is no Batch: its calls are not taken together.",
            hint=f"{_DECLARED['batch'][1]} If the attribute is the task's own, give it another name to be rid of this line.",
            obj=task,
            id="jobroom.W006",
        )


def _resource_of(task: Any, name: str) -> Iterator[CheckMessage]:
    from jobroom.tasks import BaseTask

    if name not in declared:
        yield Error(
            f"The task {task.name} needs the resource {name}, which is not declared.",
            hint=suggestion(name),
            obj=task,
            id="jobroom.E002",
        )
        return
    if name not in task.filled_in and hasattr(BaseTask, name):
        yield Error(
            f"The task {task.name} cannot read the resource {name}: every task has an attribute of that name.",
            hint="Give the resource another name.",
            obj=task,
            id="jobroom.E003",
        )
    queue = _queue_of(task)
    if queue not in declared[name].queues:
        queues = ", ".join(declared[name].queues)
        yield Warning(
            f"The task {task.name} runs on the queue {queue}, whose workers do not load the resource {name} before it.",
            hint=f"Send it to {queues} (CELERY_TASK_ROUTES), or add {queue} to the queues of the resource.",
            obj=task,
            id="jobroom.W002",
        )


def _queue_of(task: Any) -> str:
    queue: Any = task.app.amqp.router.route({}, task.name).get("queue") or getattr(task, "queue", None)
    return str(getattr(queue, "name", queue) or task.app.conf.task_default_queue)


def unserved_resources(**kwargs: Any) -> list[CheckMessage]:
    """Name every resource of which no worker of `QUEUES` serves a queue."""
    return [
        Warning(
            f"No worker serves {' or '.join(made.queues)}, so no one loads the resource {made.name}.",
            hint='Add the queue to JOBROOM["QUEUES"] (the variable IMAGE_QUEUES of `manage.py up`), or correct the queues of the resource.',
            id="jobroom.W003",
        )
        for made in declared.values()
        if not set(made.queues) & set(conf.settings.QUEUES)
    ]


def old_tables(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Keep `migrate` from making empty tables beside those of old, which hold everything."""
    return [
        Error(
            "The tables of this database have the names from before the package jobroom.",
            hint="Stop everything and run `manage.py jobroom upgrade` (`manage.py up` does it by itself).",
            id="jobroom.E005",
        )
        for alias in databases or ()
        if upgrade.is_old(connections[alias])
    ]
