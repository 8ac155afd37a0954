"""Notifies the admins of a final failure: exactly one mail for each, whichever process notices it.

Celery calls `Task.on_failure` in the pool process for what a task raises, in the worker's main process for a hard time
limit, and not at all for a pool process that was killed; its signal `task_failure` comes in all three cases, for a hard
time limit twice. When a whole worker is gone, no one in it can report, and the rescuer calls `report`.
"""

import collections
import functools
import hashlib
import logging
import re
import threading
import time
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from celery import signals
from django.conf import settings as django_settings
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connections
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from jobroom import absolute_urls, events, redis, safe_text, truncation
from jobroom import signals as jobroom_signals
from jobroom.arguments.redaction import hide_arguments, hide_in_text, running, secrets_of
from jobroom.celery import tracker
from jobroom.events import heartbeat
from jobroom.exceptions import JobFailed
from jobroom.tasks import outbox
from jobroom.tasks.admin_mail import get_admin_emails, send_mail_to_admins

logger = logging.getLogger(__name__)

Mail = outbox.Mail

SUBJECT_LIMIT = 200
# Characters of the arguments, and of the error's own words.
LINE_LIMIT = 2_000
# Characters of a traceback.
TRACE_LIMIT = 20_000
# Most mails that one process sends at the same time; those above wait for housekeeping.
THREADS = 10
# Seconds that `report` waits for its mail, and that a process which ends waits for all of them.
PATIENCE, PATIENCE_AT_END = 2.0, 5.0
_THREAD_NAME = "failure-mail"
_PLACE = re.compile(r'File "(?P<file>[^"\n]+)", line (?P<line>\d+), in (?P<function>\S+)')

# Jobs whose hard time limit this process has reported: the hook and a second signal follow at once, without a request.
_timed_out: collections.deque[str] = collections.deque(maxlen=100)


def connect() -> None:
    """Hear of runs that failed, and let a process that ends finish its mails; twice is the same as once."""
    signals.worker_process_shutdown.connect(wait, dispatch_uid="jobroom.tasks.failure_mail")
    signals.worker_shutdown.connect(wait, dispatch_uid="jobroom.tasks.failure_mail")
    jobroom_signals.run_failed.connect(_run_failed, dispatch_uid="jobroom.tasks.failure_mail")


class NotifyAdminTaskMixin:
    """Mails every address in `ADMINS` once per final failure, also when the worker or its pool process was killed."""

    action: str | None = None
    # Failures that are no news to the admins, such as data that a person sent and that cannot be used: the job fails and
    # says why on its page, and no one is mailed. Children count too.
    no_mail_for: tuple[type[BaseException], ...] = ()

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Send the mail; a failing mail server is recorded and changes nothing about the job."""
        super().on_failure(exc, task_id, args, kwargs, einfo)  # type: ignore[misc]
        on_hook(self, exc, task_id, args, kwargs, einfo)


# Who notices -----------------------------------------------------------------------------------------------------------
def on_hook(task: Any, exception: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
    """Mail about a failure for which Celery, or a test by hand, called `on_failure`."""
    request = _request(task, task_id)
    if request is None and task_id in _timed_out:
        return
    if request is not None:
        request.failure_reported = True
    own = tracker.raised(request, exception)
    if safe_text.is_one_of(own, getattr(task, "no_mail_for", ())):
        return
    trace = safe_text.text_of(einfo) if einfo is not None and own is exception else ""
    exception = own
    # Outside a worker nothing else can report the same, and the caller wants to see the mail.
    at_once = request is None or bool(request.is_eager)
    _notify(task, exception, task_id, args, kwargs, trace, at_once=at_once)


def on_signal(task: Any, task_id: str, exception: BaseException, einfo: Any) -> None:
    """Mail about a failure for which Celery calls no `on_failure`: a killed pool process."""
    if not _wants_mail(task, exception):
        return
    request = _request(task, task_id)
    if request is None and task_id in _timed_out:
        _timed_out.remove(task_id)
        return
    if getattr(request, "failure_reported", False):
        return
    if request is not None and isinstance(exception, TimeLimitExceeded):
        _timed_out.append(task_id)
    trace = safe_text.text_of(einfo) if einfo is not None else ""
    _notify(task, exception, task_id, getattr(request, "args", None), getattr(request, "kwargs", None), trace)


def _run_failed(task: Any, task_id: str, exception: BaseException, einfo: Any, **_: Any) -> None:
    on_signal(task, task_id, exception, einfo)


def report(task: Any, exception: BaseException, task_id: str, args: Any, kwargs: Any, trace: str) -> None:
    """Mail about a failure that no one in the worker could report; other tasks than those that asked for it are skipped."""
    if not _wants_mail(task, exception):
        return
    crowded = bool(_senders())
    thread = _notify(task, exception, task_id, args, kwargs, trace)
    # A mail server that hangs costs the caller this once, however many jobs are lost.
    if thread is not None and not crowded:
        thread.join(PATIENCE)


def _wants_mail(task: Any, exception: BaseException) -> bool:
    return isinstance(task, NotifyAdminTaskMixin) and not safe_text.is_one_of(exception, task.no_mail_for)


def _request(task: Any, task_id: str) -> Any:
    """Return the request of that job, None where another one or none is on the task's stack."""
    request = getattr(task, "request", None)
    return request if getattr(request, "id", None) == task_id else None


def _run_of(request: Any) -> str:
    """Return a name of one run of a job that its pool process and the worker's main process agree on, or "".

    The delivery tag is new for each message, so a job that is retried, also by hand, is another run.
    """
    tag = (getattr(request, "properties", None) or {}).get("delivery_tag")
    return f"{request.id}:{request.retries or 0}:{heartbeat.instance()}:{tag}" if tag else ""


def _notify(
    task: Any, exception: BaseException, task_id: str, args: Any, kwargs: Any, trace: str, at_once: bool = False
) -> threading.Thread | None:
    """Write the mail and have it sent; return the thread that does. Whatever goes wrong is logged and ends here."""
    try:
        request = _request(task, task_id)
        mail = compose(task, exception, task_id, args, kwargs, trace)
        if at_once:
            _deliver(mail, boxed=False)
            return None
        return _hand_over(mail, _run_of(request) if request is not None else "")
    except Exception:  # the boundary between mail and job: a job's fate never depends on its mail
        logger.exception("The failure mail of job %s went wrong", task_id)
        return None


# The mail --------------------------------------------------------------------------------------------------------------
def compose(task: Any, exception: BaseException, task_id: str, args: Any, kwargs: Any, trace: str) -> Mail:
    """Return the mail about one failure: `id`, `job`, `task`, `subject`, `body`, `fingerprint`."""
    function = getattr(task, "run", None)
    secrets = secrets_of(function, args, kwargs) | running()
    trace = trace or _trace(exception)
    place = _PLACE.findall(trace)
    cause = _cut(hide_in_text(_cause(exception), secrets))
    expected = isinstance(exception, tuple(getattr(task, "throws", ())))  # what the task says it may raise
    detail = "" if expected else _shortened(hide_in_text(trace, secrets)).strip()
    lines = _facts(task, task_id, args, kwargs)
    return {
        "id": outbox.new_id(),
        "job": task_id,
        "task": str(task.name),
        "subject": _subject(getattr(task, "action", None) or task.name),
        "body": "\n".join([*(f"{name + ':':<11}{value}" for name, value in lines), "", cause, "", detail]).rstrip()
        + "\n",
        "fingerprint": _fingerprint(str(task.name), safe_text.error_type(exception), str(place[-1:])),
    }


def compose_summary(summary: Mail) -> Mail:
    """Return the one mail that stands for all that a window held back, see `jobroom.tasks.outbox`."""
    sample, held, jobs = summary["sample"], int(summary["held"]), summary["jobs"]
    more = held - len(jobs)
    pages = [_link(job) for job in jobs] + ([f"… and {more} more"] if more > 0 else [])
    body = (
        f"The same error came {summary['count']} times between {_moment(summary['first'])} and "
        f"{_moment(summary['last'])}.\n{held} of them were not mailed one by one. Their jobs:\n\n"
        + "\n".join(pages)
        + f"\n\nThis was the first mail:\n\n{sample['body']}"
    )
    subject = f"{sample['subject']} ({held} more)"
    return {**sample, "id": summary["id"], "job": "", "subject": subject, "body": body}


def _subject(action: Any) -> str:
    # A line break would begin another header.
    text = " ".join("".join(c if c.isprintable() else " " for c in f"Error in {action}").split())
    return text if len(text) <= SUBJECT_LIMIT else text[: SUBJECT_LIMIT - 1] + "…"


def _facts(task: Any, task_id: str, args: Any, kwargs: Any) -> list[tuple[str, str]]:
    request = _request(task, task_id)
    facts = [("Task", str(task.name)), ("Job", str(task_id))]
    if request is not None:
        facts.append(("Attempt", str((request.retries or 0) + 1)))
    facts.append(("Arguments", _call(task, args, kwargs)))
    queue = (getattr(request, "delivery_info", None) or {}).get("routing_key")
    known = [("Queue", queue), ("Worker", getattr(request, "hostname", None))]
    facts += [(name, str(value)) for name, value in known if value]
    return [*facts, ("When", _moment(time.time())), ("Page", _link(task_id))]


def _call(task: Any, args: Any, kwargs: Any) -> str:
    """Return the arguments as a call would be written, secrets hidden."""
    plain, named = hide_arguments(getattr(task, "run", None), args, kwargs)
    text = ", ".join(
        [*map(safe_text.repr_of, plain), *(f"{name}={safe_text.repr_of(value)}" for name, value in named.items())]
    )
    return f"({_cut(text)})"


def _cut(text: str) -> str:
    return truncation.shorten(text, LINE_LIMIT)


def _cause(exception: BaseException) -> str:
    if isinstance(exception, SoftTimeLimitExceeded):
        return "The job ran into its soft time limit."
    if isinstance(exception, TimeLimitExceeded):
        return "The job ran into its hard time limit and was killed."
    # Python's own way to show an error copes with one whose __str__ raises.
    try:
        text = "".join(traceback.format_exception_only(exception)).strip()
    except Exception:  # noqa: BLE001 — the boundary: its notes are foreign code too
        text = f"{safe_text.error_type(exception)}: {safe_text.error_text(exception)}"
    return f"The job says that it failed: {text.partition(': ')[2]}" if isinstance(exception, JobFailed) else text


def _trace(exception: BaseException) -> str:
    return safe_text.traceback_of(exception)


def _shortened(trace: str) -> str:
    return truncation.shorten(trace, TRACE_LIMIT)


def _fingerprint(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _link(task_id: str) -> str:
    try:
        address = reverse("jobroom:jobs:job", args=[task_id])
    except NoReverseMatch:
        return ""  # a project that shows no pages of ours
    return absolute_urls.full(address)


# Its way ---------------------------------------------------------------------------------------------------------------
def _hand_over(mail: Mail, run: str) -> threading.Thread | None:
    """Put the mail into the box and send it beside the job, which so never waits for a mail server."""
    boxed = True
    try:
        verdict = outbox.admit(mail, run)
    except (redis.Error, OSError) as error:
        logger.warning("The failure mail of job %s is sent without Redis, perhaps twice: %s", mail["job"], error)
        verdict, boxed = "send", False
    if verdict != "send":
        return None
    if boxed and len(_senders()) >= THREADS:
        logger.warning("The mail server is slow: the failure mail of job %s is left to housekeeping", mail["job"])
        return None
    _import_now(django_settings.EMAIL_BACKEND)
    thread = threading.Thread(
        target=functools.partial(_deliver_and_close, mail, boxed=boxed), name=_THREAD_NAME, daemon=True
    )
    thread.start()
    return thread


@functools.lru_cache(maxsize=4)
def _import_now(backend: str) -> None:
    """Import what sending needs in the thread that also forks pool processes.

    A process that is forked while another thread imports a module has half of that module for ever.
    """
    import encodings.idna  # noqa: F401, PLC0415 — Python itself imports it when it looks up the server's address

    with suppress(Exception):  # the attempt to send says it
        import_string(backend)
        direct()


def direct() -> BaseEmailBackend:
    """Return a connection that sends at once: where mails are queued, the one behind the queue."""
    backend = import_string(django_settings.EMAIL_BACKEND)
    connection: BaseEmailBackend = backend.transport() if hasattr(backend, "transport") else get_connection()
    return connection


def _deliver_and_close(mail: Mail, *, boxed: bool) -> None:
    try:
        _deliver(mail, boxed=boxed)
    finally:
        connections.close_all()  # a mail backend may keep its mails in the database


def _deliver(mail: Mail, *, boxed: bool) -> None:
    # A pool process that is forked while a thread is in the database's library may inherit its locks, and stands still.
    is_safe = not heartbeat.forks_pool() and _is_taken(mail)
    if not is_safe:
        recipients = get_admin_emails()
        status, error = send(mail["subject"], mail["body"], mail["job"])
        is_safe = emit(mail, status=status, recipients=recipients, error=error) or status == "sent"
    if boxed and is_safe:
        _take_out(mail)


def _is_taken(mail: Mail) -> bool:
    """Return whether it is in the outbox, which is the database's; where that fails it is sent from here."""
    answers = jobroom_signals.failure_mail.send_robust(sender=None, mail=mail)
    return any(answer is True for _, answer in answers)


def _take_out(mail: Mail) -> None:
    try:
        outbox.done(mail["id"])
    except (redis.Error, OSError) as failure:
        logger.warning("The failure mail of job %s may be sent again: %s", mail["job"], failure)


def send(subject: str, body: str, job: str) -> tuple[str, str]:
    """Try once to mail all admins, past any queue; return the status, `sent`, `failed` or `nobody`, and the error in words."""
    try:
        if send_mail_to_admins(subject, body, connection=direct()):
            return "sent", ""
    except Exception as error:  # noqa: BLE001 — the boundary: mail backends raise what they like
        logger.error("The failure mail of job %s could not be sent: %s", job, safe_text.repr_of(error))  # noqa: TRY400 — the reason is all
        return "failed", truncation.shorten(f"{safe_text.error_type(error)}: {safe_text.error_text(error)}", LINE_LIMIT)
    if get_admin_emails():
        return "failed", "The mail backend says that it sent nothing."
    logger.warning("The failure of job %s is not mailed: ADMINS is empty", job)
    return "nobody", "ADMINS is empty: there is no one to notify."


def emit(mail: Mail, **data: Any) -> bool:
    """Write the event that records what became of a mail; `data` may replace the mail's own values."""
    known = {name: mail[name] for name in ("task", "subject", "fingerprint", "body")}
    return events.emit("mail", mail["job"] or None, mail=mail["id"], **(known | data))


def _senders() -> list[threading.Thread]:
    """Return the threads that send now; asked of Python, because a forked process has none of its parent's."""
    return [thread for thread in threading.enumerate() if thread.name == _THREAD_NAME]


def wait(**_: Any) -> None:
    """Give mails on their way a moment before the process ends; what is not sent then is left to housekeeping."""
    end = time.monotonic() + PATIENCE_AT_END
    for thread in _senders():
        thread.join(max(0.0, end - time.monotonic()))
