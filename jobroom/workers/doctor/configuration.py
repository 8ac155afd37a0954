"""The doctor's checks of settings, without asking any server but the database."""

from typing import Any

from celery import current_app
from django.conf import settings as django_settings
from django.core import checks
from django.db.models import Q

from jobroom.conf import settings
from jobroom.tasks.admin_mail import get_admin_emails
from jobroom.users import User
from jobroom.workers.doctor.findings import SHOWN, Check, Found, error, ok, our_tasks, shortened, warning

# What kombu waits for an acknowledgement where no one says otherwise, in seconds.
USUAL_VISIBILITY = 3600
LOOPBACK = {"localhost", "127.0.0.1", "[::1]", ".localhost"}


def _options() -> dict[str, Any]:
    return dict(current_app.conf.broker_transport_options or {})


def _is_redis() -> bool:
    return str(current_app.conf.broker_url or "").startswith(("redis", "rediss", "sentinel", "valkey", "unix"))


def visibility() -> Found:
    """Hold the broker's visibility timeout against what a job may take."""
    name = "visibility timeout"
    if not _is_redis():
        yield ok(name, "The broker has none.")
        return
    timeout = float(_options().get("visibility_timeout", USUAL_VISIBILITY))
    common = current_app.conf.task_time_limit
    limits = {task.name: task.time_limit or common for task in our_tasks()}
    longest = max((limit for limit in limits.values() if limit), default=0)
    raise_it = "Set CELERY_BROKER_TRANSPORT_OPTIONS['visibility_timeout'] above all of them."
    if longest and timeout <= longest:
        over = [task for task, limit in limits.items() if limit and limit >= timeout]
        detail = (
            f"After {timeout:,.0f} s the broker gives a job away that runs still: {shortened(over)} may take longer."
        )
        yield error(name, detail, raise_it)
    elif timeout <= settings.LOCK_TTL:
        detail = f"It is {timeout:,.0f} s, and a lock lives for {settings.LOCK_TTL:g} s: a second delivery meets the first one's lock."
        yield error(name, detail, "Set CELERY_BROKER_TRANSPORT_OPTIONS['visibility_timeout'] above LOCK_TTL.")
    elif timeout <= USUAL_VISIBILITY and not all(limits.values()):
        without = [task for task, limit in limits.items() if not limit]
        detail = (
            f"Workers without Jobroom that share the broker give a job away after {timeout:,.0f} s, and these tasks have no"
            f" time limit: {shortened(without)}."
        )
        yield warning(name, detail, "Raise visibility_timeout, or give these tasks a time_limit.")
    else:
        yield ok(name, f"{timeout:,.0f} s, above every time limit and the life of a lock.")


def time_limits() -> Found:
    """Find soft time limits that the hard one never lets come."""
    name = "time limits"
    soft, hard = current_app.conf.task_soft_time_limit, current_app.conf.task_time_limit
    never = [
        task.name
        for task in our_tasks()
        if (task.soft_time_limit or soft) and (task.time_limit or hard)
        and (task.soft_time_limit or soft) >= (task.time_limit or hard)
    ]  # fmt: skip
    if never:
        detail = f"The soft limit never comes, as the hard one is not above it: {shortened(never)}."
        yield warning(name, detail, "Let time_limit be some seconds above soft_time_limit.")
    else:
        yield ok(name, "Every soft limit comes before its hard one.")


def patience() -> Found:
    """Find what would wait for ever on a dead connection."""
    name = "time-outs"
    good = True
    if _is_redis() and not _options().get("socket_timeout"):
        good = False
        yield warning(
            name,
            "The broker's connections have no time-out: a publish on a dead one waits for ever.",
            "Set CELERY_BROKER_TRANSPORT_OPTIONS['socket_timeout'], such as 10.",
        )
    if not current_app.conf.get("broker_pool_acquire_timeout"):
        good = False
        yield warning(
            name,
            "Who wants a connection of Celery's pool while all are in use waits for ever.",
            "Set CELERY_BROKER_POOL_ACQUIRE_TIMEOUT, such as 10.",
        )
    if good:
        yield ok(name, "Nothing waits for ever for the broker.")


def debug() -> Found:
    """Find a debugging server that strangers can reach."""
    name = "debug"
    if not django_settings.DEBUG:
        yield ok(name, "DEBUG is off.")
    elif set(django_settings.ALLOWED_HOSTS) <= LOOPBACK:
        yield ok(name, "DEBUG is on, and only this machine may ask.")
    else:
        detail = f"DEBUG is on, and {shortened(django_settings.ALLOWED_HOSTS)} may be asked: an error shows settings and code."
        yield error(name, detail, "Set DEBUG to False.")


def admins() -> Found:
    """Find out whether anyone hears of failures."""
    name = "admins"
    known = get_admin_emails()
    wrong = [address for address in known if "@" not in address]
    if wrong:
        yield error(name, f"ADMINS has an entry that is no address: {shortened(wrong)}.", "Correct ADMINS.")
    elif not known:
        yield warning(name, "ADMINS is empty: no mail reports a failed job.", "Set ADMINS.")
    lost = User._default_manager.filter(Q(email="") | Q(email=None), is_superuser=True, is_active=True)
    names = list(lost.values_list(User.USERNAME_FIELD, flat=True)[: SHOWN + 1])
    if names:
        detail = f"No address, so no new password and no mail reaches: {shortened(names)}."
        yield warning(name, detail, "Give these administrators an address in Django's admin.")
    if known and not wrong and not names:
        yield ok(name, f"{len(known)} are notified of failures, and every administrator has an address.")


def system_checks() -> Found:
    """Give what Django's own checks say."""
    name = "configuration"
    said = [message for message in checks.run_checks() if not message.is_silenced()]
    for message in said:
        make = error if message.level >= checks.ERROR else warning
        yield make(name, f"{message.msg} ({message.id})", str(message.hint or ""))
    if not said:
        yield ok(name, "manage.py check has nothing to say.")


CHECKS: dict[str, Check] = {
    "visibility timeout": visibility,
    "time limits": time_limits,
    "time-outs": patience,
    "debug": debug,
    "admins": admins,
    "configuration": system_checks,
}
