"""Tasks that fail, each in its own way, and some that do not and must not be mailed about."""

import os
import signal
import threading
import time
from typing import Annotated

from celery import shared_task

from jobroom.arguments.redaction import Secret
from jobroom.tasks import BaseTask, JobFailed, NotifyAdminTaskMixin, exclusive_task


class Notifying(NotifyAdminTaskMixin, BaseTask):
    """Base of tasks whose failures the admins want to hear of."""

    abstract = True


@shared_task(bind=True, base=Notifying, name="failing.raises", action="raising")
def raises(self, sample="", password="", code: Annotated[str, Secret] = ""):
    raise ValueError(f"no entry for {password} with {code}")


@shared_task(bind=True, base=Notifying, name="failing.says")
def says(self):
    raise JobFailed("The scale is broken.")


@shared_task(bind=True, base=Notifying, name="failing.retries", max_retries=2)
def retries(self):
    raise self.retry(exc=ValueError("not yet"), countdown=0)


@shared_task(bind=True, base=Notifying, name="failing.retries_without_reason", max_retries=1)
def retries_without_reason(self):
    raise self.retry(countdown=0)


@shared_task(bind=True, base=Notifying, name="failing.recovers")
def recovers(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return "recovered"


@shared_task(bind=True, base=Notifying, name="failing.pauses", max_retries=1)
def pauses(self, seconds):
    if not self.request.retries:
        raise self.retry(countdown=seconds)
    return "went on"


@shared_task(bind=True, base=Notifying, name="failing.soft_limit", soft_time_limit=1)
def soft_limit(self):
    time.sleep(60)


@shared_task(bind=True, base=Notifying, name="failing.hard_limit", time_limit=1)
def hard_limit(self):
    time.sleep(60)


@shared_task(bind=True, base=Notifying, name="failing.hard_limit_late", time_limit=1, acks_late=True)
def hard_limit_late(self):
    time.sleep(60)


@shared_task(bind=True, base=Notifying, name="failing.killed")
def killed(self):
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(bind=True, base=Notifying, name="failing.exits")
def exits(self):
    os._exit(3)


@shared_task(bind=True, base=Notifying, name="failing.kills_again", acks_late=True)
def kills_again(self):
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(bind=True, base=Notifying, name="failing.busy")
@exclusive_task(task_name="failing.busy", lock_id="failing-busy")
def busy(self):
    return "not busy"


@shared_task(bind=True, base=BaseTask, name="failing.quiet")
def quiet(self):
    raise ValueError("no one asked to be notified")


@shared_task(bind=True, base=Notifying, name="failing.waits")
def waits(self):
    time.sleep(120)


@shared_task(name="failing.works")
def works():
    return "worked"


class Expected(Exception):
    """What is no news to an admin."""


class TwoWords(Expected):
    """Cannot be made from its text alone, as pickle would."""

    def __init__(self, what, where):
        super().__init__(f"{what} in {where}")


class Unsayable(Expected):
    def __str__(self):
        raise RuntimeError("no text")


class Speechless(Expected):
    def __str__(self):
        return None  # noqa: PLE0307 — that is what it is here for


def stubborn(kind):
    """Return an error that Celery hands to its hooks as another one."""
    if kind == "two words":
        return TwoWords("nothing", "store")
    if kind == "local":

        class Local(Expected):
            pass

        return Local("only here")
    if kind == "unpicklable":
        return Expected("holds", threading.Lock())
    return {"unsayable": Unsayable, "speechless": Speechless}[kind]()


@shared_task(bind=True, base=Notifying, name="failing.stubborn")
def raises_stubborn(self, kind):
    raise stubborn(kind)


@shared_task(bind=True, base=Notifying, name="failing.stubborn_expected", no_mail_for=(Expected,))
def raises_stubborn_expected(self, kind):
    raise stubborn(kind)
