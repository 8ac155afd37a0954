"""`manage.py record`: keep the book."""

import gc
import signal
from typing import Any

from django.core.management.base import BaseCommand

from jobs.recorder import Recorder


class Command(BaseCommand):
    """Write what happens to jobs into the database until told to stop; any number of these may run."""

    help = "Keep the book of jobs: write the stream of events into the database. Any number of these may run."

    def handle(self, *args: Any, **options: Any) -> None:
        """Record until SIGTERM or Ctrl-C; the batch at hand is finished."""
        # A batch makes many objects and no cycles of them, and what is loaded now stays: no need to look so often.
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        recorder = Recorder()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: recorder.stop())
        recorder.run()
