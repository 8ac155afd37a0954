"""Registers the app with Django and connects it to the rooms below."""

from django.apps import AppConfig

from common.menu import SYSTEM, Entry


class JobsConfig(AppConfig):
    """The app's name and label."""

    name = "jobs"
    menu = (
        Entry("Overview", "jobs:overview", order=10),
        Entry("Jobs", "jobs:jobs", order=20),
        Entry("Tasks", "jobs:tasks", order=30),
        Entry("Answers", "jobs:answers", group=SYSTEM, order=40, staff=True),
        Entry("Admin", "admin:index", group=SYSTEM, order=900, staff=True),
    )

    def ready(self) -> None:
        """Connect receivers, topics, the files of arguments, and the owners of tokens."""
        from common.arguments import File
        from common.body_limit import BodyLimit
        from jobs import authentication, files, receivers, topics
        from live import authentication as sockets

        File.load = files.load
        BodyLimit.most = files.largest_body
        receivers.connect()
        topics.connect()
        sockets.register(authentication.user_of_token)
