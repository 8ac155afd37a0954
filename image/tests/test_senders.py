"""Every function that sends a job's message is listed here, with where the rights of the person are asked; a new one fails."""

import ast
import re
from pathlib import Path

from django.conf import settings

from jobroom.jobs import launches

# Each function that sends a message, makes one again or begins a workflow, and where the person's rights are asked.
SENDERS = {
    "jobroom/jobs/launches.py": {
        "_send": "of those below", "_dispatch": "of launch, after gate.admit", "send_again": "of control.retry, after gate.check",
        "resend": "after later.is_refused", "_send_one": "after later.is_refused",
    },
    "jobroom/jobs/control.py": {"retry": "after gate.check, by policies.may_retry"},
    "jobroom/jobs/cache_settlement.py": {"_launch_again": "through launching.resend"},
    "jobroom/workers/missing_messages.py": {"_settle": "through launching.resend"},
    "jobroom/tasks/base.py": {
        "BaseTask.apply_async": "what Celery calls", "enqueue.send": "services call it in the name of the machine",
    },
    "jobroom/cache/handoff.py": {"send": "the next of those that passed the gate and waited"},
    "jobroom/locks/requeue.py": {"_send_again": "a job goes back to its queue", "send_again": "a job goes back to its queue"},
    "jobroom/celery/unavailable_services.py": {"_go_back": "a job goes back to its queue"},
    "jobroom/resources/requeue.py": {"wait_for_resource": "a job goes back to its queue"},
    "jobroom/notifications/submission.py": {"queue": "mails of the machine"},
    "jobroom/schedules/services/dispatch.py": {"run_now": "after refusal()"},
    "jobroom/schedules/scheduler.py": {"Scheduler.send": "after refusal_of()", "Scheduler._send_claimed": "by apply_entry, so after refusal_of()"},
    "biosample/admin.py": {"SubmissionAdmin.fetch_status_now": "staff with the permission; the task takes no arguments"},
    "jobroom/workflows/receivers.py": {"_start": "code that begins a workflow of its own, by Workflow.apply_async"},
    "jobroom/workflows/launches.py": {"launch": "after admission.check_graph", "launch_text": "after admission.check_graph"},
    "jobroom/workflows/engine/effects.py": {"send": "nodes of workflows that have passed"},
}  # fmt: skip
_SENDING = {"apply_async", "delay", "send_task", "enqueue", "apply_entry", "resend", "send_again"}


def test_every_call_that_sends_a_message_is_listed():
    found = {}
    for app_name in own_apps():
        for path in Path(settings.BASE_DIR, app_name).rglob("*.py"):
            if not {"tests", "testing", "migrations"} & set(path.parts) and (senders := senders_in(path.read_text())):
                found[str(path.relative_to(settings.BASE_DIR))] = senders
    assert found == {path: set(functions) for path, functions in SENDERS.items()}


def test_a_new_way_is_noticed():
    """In a file of its own, and beside what is listed."""
    assert senders_in("def new(task):\n    for _ in [1]:\n        task.apply_async(())\n") == {"new"}
    assert senders_in("class A:\n    def go(self): services.start(1)\n    run = lambda t: t.delay()\n") == {"A.go", "A"}
    text = Path(launches.__file__).read_text()
    assert senders_in(text + "\ndef behind_the_gate(job):\n    _send(1, job)\n") == {
        *SENDERS["jobroom/jobs/launches.py"], "behind_the_gate",
    }  # fmt: skip


def own_apps():
    base = Path(settings.BASE_DIR)
    return [name for name in settings.INSTALLED_APPS if (base / name.partition(".")[0]).is_dir()]


def senders_in(text):
    """Return the functions of a module that call what sends a message, or begins a workflow."""
    if not _MAY_SEND.search(text):
        return set()  # to read it as Python takes a hundred times as long
    tree = ast.parse(text)
    # A function of the module that sends by another one's hand is a sender too.
    own = {"_send"} if "task.apply_async" in text else set()
    return set(_senders(tree, "", _SENDING | own))


_MAY_SEND = re.compile(rf"\b({'|'.join(_SENDING)}|services\.start|_send)\b")


def _senders(node, place, sending):
    for child in ast.iter_child_nodes(node):
        inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if isinstance(child, ast.Call) and _called(child.func) & sending:
            yield place
        yield from _senders(child, f"{place}.{child.name}".lstrip(".") if inner else place, sending)


def _called(func):
    """Return under which names a call is known."""
    if not isinstance(func, ast.Attribute):
        return {getattr(func, "id", "")}
    begins = func.attr == "start" and getattr(func.value, "id", "") == "services"
    return {func.attr, *(["delay"] if begins else [])}
