"""What the wheel's project has from before: its own models, schedules of django-celery-beat, results of django-celery-results.

The last two are made by the packages themselves, with the settings that the guides for them begin with.
"""

import re
from pathlib import Path
from textwrap import dedent

from django.conf import settings

HOW_TO = Path(settings.BASE_DIR) / "docs/how-to"
BEAT = HOW_TO / "migrate-from-flower-and-django-celery-beat.md"
RESULTS = HOW_TO / "migrate-from-django-celery-results.md"
DJANGO_TASKS = HOW_TO / "use-django-tasks.md"
_BLOCK = re.compile(r"^( *)```(python|sh)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)

MEMBERS = """
from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models


class Members(UserManager):
    def create_superuser(self, email, password, **fields):
        member = self.model(email=email, is_staff=True, is_superuser=True, **fields)
        member.set_password(password)
        member.save()
        return member


class Member(AbstractUser):
    username = None
    email = models.EmailField(unique=True)
    objects = Members()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []
"""
OFFERS = """
from django.conf import settings
from django.db import models


class Job(models.Model):
    '''A job offer: nothing to do with background jobs.'''

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="jobs")
"""
FLOW = """
version: 1
name: sums
title: Two sums
nodes:
  first:
    task: jobs.tasks.add
    args: [1]
  second:
    task: jobs.tasks.add
    args: ["${first.result}", 4]
result: "${second.result}"
"""
PAST = """
from datetime import timedelta

from celery import states
from django.conf import settings
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler
from django_celery_results.models import TaskResult

from shop.celery import app

assert settings.CELERY_BEAT_SCHEDULER == "django_celery_beat.schedulers:DatabaseScheduler"
hours, _ = IntervalSchedule.objects.get_or_create(every=2, period="hours")
PeriodicTask.objects.create(
    name="Sums", task="jobs.tasks.add", interval=hours, args="[20, 3]", total_run_count=7,
    last_run_at=timezone.now() - timedelta(hours=5),
)
DatabaseScheduler(app).sync()

class Request:
    id, task, hostname, periodic_task_name = "", "jobs.tasks.add", "old@shop", "Sums"
    argsrepr, kwargsrepr, children, meta = "(20, 3)", "{}", [], {}

def ran(pk, value, state, traceback=None):
    Request.id = pk
    app.backend.store_result(pk, value, state, traceback=traceback, request=Request)

ran("past-good", 23, states.SUCCESS)
ran("past-bad", ValueError("bad sum"), states.FAILURE, "Traceback: bad sum")
ran("past-open", {"pid": 1}, states.STARTED)
print(TaskResult.objects.filter(task_id__startswith="past-").count(), "results")
"""
# As the guide for results says what a table holds in full.
EXTENDED = "CELERY_RESULT_BACKEND = 'django-db'\nCELERY_RESULT_EXTENDED = True\nCELERY_TASK_TRACK_STARTED = True\n"


def blocks(guide: Path, language: str) -> list[str]:
    """Return the blocks of code of a guide, as a reader pastes them."""
    return [dedent(code) for _, kind, code in _BLOCK.findall(guide.read_text()) if kind == language]


def commands(guide: Path) -> list[list[str]]:
    """Return the commands of a guide that are Django's, without the name of the interpreter."""
    lines = [line for code in blocks(guide, "sh") for line in code.splitlines()]
    return [line.split()[1:] for line in lines if line.startswith("python manage.py")]


def addresses(guide: Path) -> list[str]:
    """Return the addresses in the second column of the guide's table, which take no id and can be asked for."""
    cells = [line.split("|")[2].strip() for line in guide.read_text().splitlines() if line.startswith("| ")]
    return [found[1] for cell in cells if (found := re.fullmatch(r"`(?:GET )?(/[\w/]+/?)`", cell))]
