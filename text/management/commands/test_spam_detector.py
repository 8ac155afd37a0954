"""`manage.py test_spam_detector FILE` or `--message TEXT`: what the spam model says."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any, get_args

from django.core.management import BaseCommand, CommandError

from text import message_files, model_update, registry
from text.exceptions import TextFailed
from text.message_files import Encoding
from text.spam import trainer
from text.spam.detector import Detector


class Command(BaseCommand):
    """Test the spam detector."""

    help = "Judge a file of labelled messages and print precision, recall, F1 and the confusion matrix; or judge one message."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what is judged, and by which version."""
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("file", nargs="?", type=Path, help="labelled messages")
        what.add_argument("--message", action="append", metavar="TEXT", help="a message; may be given several times")
        parser.add_argument("--version-number", type=int, metavar="N", help="a version; default: the promoted one")
        parser.add_argument("--encoding", choices=get_args(Encoding), default="utf-8")

    def handle(self, *args: Any, **options: Any) -> None:
        """Judge and print; exit with 1 when the file or the model cannot be read."""
        try:
            number = options["version_number"]
            detector = registry.detector() if number is None else registry.load(registry.version(number))
            if options["message"]:
                self._messages(detector, options["message"])
            else:
                self._file(detector, options["file"], options["encoding"])
        except TextFailed as failed:
            raise CommandError(str(failed)) from failed

    def _messages(self, detector: Detector, texts: list[str]) -> None:
        for text in texts:
            found = detector.detect(text)
            self.stdout.write(f"{found['label']:<4} {found['spam_probability']:.4f}  {text}")

    def _file(self, detector: Detector, path: Path, encoding: str) -> None:
        examples = registry.examples_of(message_files.labelled(path, encoding))
        divided = trainer.divided(examples)
        self.stdout.write(f"Version {detector.version} of the spam model on {path.name}\n\n")
        rows = [
            ("held out", trainer.judged(detector.model, divided.held_out)),
            ("all messages", trainer.judged(detector.model, examples)),
        ]
        for line in model_update.lines(rows):
            self.stdout.write(line)
