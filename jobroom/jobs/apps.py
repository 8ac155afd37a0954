"""Registers the app with Django and connects its signals."""

from typing import TYPE_CHECKING

from django.apps import AppConfig

from jobroom.ui.menu import SYSTEM, Entry

if TYPE_CHECKING:
    from jobroom.users import User


class JobsConfig(AppConfig):
    """The app's name and label."""

    name = "jobroom.jobs"
    label = "jobroom_jobs"
    verbose_name = "Jobroom: jobs"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (
        Entry("Overview", "jobroom:jobs:overview", order=10),
        Entry("Jobs", "jobroom:jobs:jobs", order=20),
        Entry("Tasks", "jobroom:jobs:tasks", order=30),
        Entry("Times", "jobroom:jobs:times", group=SYSTEM, order=7),
        Entry("Failures", "jobroom:jobs:failures", group=SYSTEM, order=5, staff=True),
        Entry("Result cache", "jobroom:jobs:answers", group=SYSTEM, order=40, staff=True),
        Entry("Task rules", "jobroom:jobs:rules", group=SYSTEM, order=60, staff=True),
        Entry("Deadlines", "jobroom:jobs:deadlines", group=SYSTEM, order=65, staff=True),
        Entry("Admin", "admin:index", group=SYSTEM, order=900, staff=True),
    )

    def ready(self) -> None:
        """Connect receivers, topics, the files of arguments, and the owners of tokens."""
        from celery import current_app

        from jobroom.arguments import File
        from jobroom.jobs import checks, files, login_limits, policies, receivers, topics
        from jobroom.jobs.models import ApiToken, TaskRule
        from jobroom.jobs.recorder import in_worker
        from jobroom.live import access
        from jobroom.live import authentication as sockets
        from jobroom.web.body_limit import BodyLimit

        current_app.steps["worker"].add(in_worker.RecorderStep)
        File.load = files.load
        BodyLimit.most = files.largest_body
        receivers.connect()
        topics.connect()
        login_limits.connect()
        checks.connect()
        sockets.register(_user_of_token)
        access.watch(TaskRule, *policies.RIGHTS)
        access.watch(ApiToken)


def _user_of_token(text: str) -> "User | None":
    # Only a process that answers requests needs the libraries of the API; loading them takes a quarter of a start.
    from jobroom.jobs.authentication import user_of_token

    return user_of_token(text)
