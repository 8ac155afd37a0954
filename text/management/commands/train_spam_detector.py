"""`manage.py train_spam_detector FILE`: learn from labelled messages, here and now."""

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from django.core.management import BaseCommand, CommandError

from jobroom.exceptions import RedisUnavailable
from jobroom.locks import ExclusiveLock
from text import model_update
from text.exceptions import TextFailed
from text.message_files import Encoding
from text.spam import recipes

LOCK = "train_spam_detector"


class Command(BaseCommand):
    """Train the spam detector."""

    help = "Learn from a file of labelled messages: lines of `ham` or `spam`, a tab and the message, or CSV."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the file and how to learn from it."""
        parser.add_argument("file", type=Path, help="the messages")
        parser.add_argument("--recipe", choices=list(recipes.RECIPES), default=recipes.DEFAULT)
        parser.add_argument("--encoding", choices=get_args(Encoding), default="utf-8")
        parser.add_argument("--no-promote", action="store_true", help="keep the version as a candidate, even if better")

    def handle(self, *args: Any, **options: Any) -> None:
        """Train, and say what came out; exit with 1 when nothing could be learned."""
        path: Path = options["file"]
        lesson = model_update.Lesson(path, path.name, options["encoding"], options["recipe"])
        try:
            with self._alone():
                row, _ = model_update.train(lesson=lesson, reporter=self, promote=not options["no_promote"])
        except TextFailed as failed:
            raise CommandError(str(failed)) from failed
        self.stdout.write("")
        for line in model_update.report(row):
            self.stdout.write(line)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of the training while inside; without a Redis no one else can train by a job anyway."""
        lock = ExclusiveLock(LOCK, task="manage.py train_spam_detector")
        try:
            if not lock.acquire():
                raise CommandError("Train spam detector already running!")
        except RedisUnavailable:
            self.stderr.write("Redis does not answer; training goes on without the lock.")
        try:
            yield
        finally:
            lock.release()

    def progress(self, current: float, total: float | None = None, message: str = "") -> None:
        """Say nothing: the log lines say enough on a terminal."""

    @contextmanager
    def stage(self, name: str, weight: float = 1.0, of: float | None = None) -> Iterator[None]:
        """Write the heading."""
        self.stdout.write(f"{name} …")
        yield

    def log(self, level: str, message: str, obj: str | None = None) -> None:
        """Write the line, warnings in their colour."""
        self.stdout.write(f"  {message}", self.style.WARNING if level in {"warning", "error"} else None)
