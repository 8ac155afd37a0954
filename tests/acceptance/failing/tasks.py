"""Tasks that fail, each in its own way, and some that do not and must not be mailed about."""

import os
import signal
import time
from typing import Annotated

from celery import shared_task

from jobroom.arguments.redaction import Secret
from jobroom.tasks import BaseTask, JobFailed, NotifyAdminTaskMixin, exclusive_task


class Told(NotifyAdminTaskMixin, BaseTask):
    """Base of tasks whose failures the admins want to hear of."""

    abstract = True


@shared_task(bind=True, base=Told, name="failing.raises", action="raising")
def raises(self, sample="", password="", code: Annotated[str, Secret] = ""):
    raise ValueError(f"no entry for {password} with {code}")


@shared_task(bind=True, base=Told, name="failing.says")
def says(self):
    raise JobFailed("The scale is broken.")


@shared_task(bind=True, base=Told, name="failing.retries", max_retries=2)
def retries(self):
    raise self.retry(exc=ValueError("not yet"), countdown=0)


@shared_task(bind=True, base=Told, name="failing.retries_without_reason", max_retries=1)
def retries_without_reason(self):
    raise self.retry(countdown=0)


@shared_task(bind=True, base=Told, name="failing.recovers")
def recovers(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return "recovered"


@shared_task(bind=True, base=Told, name="failing.soft_limit", soft_time_limit=1)
def soft_limit(self):
    time.sleep(60)


@shared_task(bind=True, base=Told, name="failing.hard_limit", time_limit=1)
def hard_limit(self):
    time.sleep(60)


@shared_task(bind=True, base=Told, name="failing.hard_limit_late", time_limit=1, acks_late=True)
def hard_limit_late(self):
    time.sleep(60)


@shared_task(bind=True, base=Told, name="failing.killed")
def killed(self):
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(bind=True, base=Told, name="failing.exits")
def exits(self):
    os._exit(3)


@shared_task(bind=True, base=Told, name="failing.kills_again", acks_late=True)
def kills_again(self):
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(bind=True, base=Told, name="failing.busy")
@exclusive_task(task_name="failing.busy", lock_id="failing-busy")
def busy(self):
    return "not busy"


@shared_task(bind=True, base=BaseTask, name="failing.quiet")
def quiet(self):
    raise ValueError("no one asked to be told")


@shared_task(bind=True, base=Told, name="failing.waits")
def waits(self):
    time.sleep(120)


@shared_task(name="failing.works")
def works():
    return "worked"
