"""`manage.py record`: keep the book."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from jobs.recorder import Recorder


class Command(BaseCommand):
    """Write what happens to jobs into the database until told to stop; any number of these may run."""

    help = "Keep the book of jobs: write the stream of events into the database. Any number of these may run."

    def handle(self, *args: Any, **options: Any) -> None:
        """Record until SIGTERM or Ctrl-C; the batch at hand is finished."""
        recorder = Recorder()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: recorder.stop())
        recorder.run()
