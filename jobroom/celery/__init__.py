"""What is plugged into Celery: signals, result backend, transport, requests and beat."""

import functools
from typing import Any, cast

from celery import Celery, Task, signals
from celery.app.defaults import NAMESPACES
from celery.utils.imports import symbol_by_name

from jobroom.celery import payload_limits, retries, transport

AMQP = "jobroom.celery.publisher:AMQP"
CONSUMER = "jobroom.celery.consumer:Consumer"


def install(app: Celery) -> Celery:
    """Make every task of `app` one of ours, unless it names a base of its own; return the app.

    The one line in a project's Celery module, right below `app = Celery(…)`. Settings are not read here. A base that the
    app has for its tasks already stays one: they then have both. Twice is the same as once.
    """
    from jobroom.tasks import BaseTask  # noqa: PLC0415 — tasks imports this module

    transport.register()
    payload_limits.register()
    if app.amqp_cls == Celery.amqp_cls:
        app.amqp_cls = AMQP
    signals.celeryd_init.connect(_use_our_consumer, dispatch_uid="jobroom.celery")
    # No signal is sent where a job gives its place away, and tasks may have a base of their own.
    Task.on_replace = _on_replace  # type: ignore[method-assign]
    theirs: Any = symbol_by_name(cast("str", app.task_cls))
    if not issubclass(theirs, BaseTask):
        both = type("JobroomTask", (BaseTask, theirs), {"abstract": True, "__module__": __name__})
        # Celery takes a class as well as its name; its types know the name alone.
        app.task_cls = cast("str", BaseTask if theirs is Task else both)
        app.__dict__.pop("Task", None)  # made of the base of before, where something asked for it already
    return app


_celerys_on_replace = Task.on_replace


def _on_replace(self: Any, sig: Any) -> Any:
    """Send what replaces the job that runs, as Celery does."""
    return retries.replace(self, sig, functools.partial(_celerys_on_replace, self))


def _use_our_consumer(conf: Any, **_: Any) -> None:
    """Let workers take messages with our consumer, unless the project names one of its own."""
    if conf.worker_consumer == NAMESPACES["worker"]["consumer"].default:
        conf.worker_consumer = CONSUMER
