"""Registers the app with Django and connects it to the rooms below."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """The app's name and label."""

    name = "jobs"

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
