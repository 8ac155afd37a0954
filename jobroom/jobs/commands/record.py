"""`manage.py record`: keep the database."""

import gc
import os
import signal
import threading
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobroom import file_permissions
from jobroom.jobs.recorder import Recorder


class Command(BaseCommand):
    """Write what happens to jobs into the database until asked to stop; any number of these may run."""

    help = "Keep the database of jobs: write the stream of events into the database. Any number of these may run."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare whose end is also the end of this one."""
        parser.add_argument("--parent", type=int, default=0, metavar="PID", help="stop when this process has ended")

    def handle(self, *args: Any, **options: Any) -> None:
        """Record until SIGTERM or Ctrl-C; the batch at hand is finished."""
        file_permissions.set_umask()
        # A batch makes many objects and no cycles of them, and what is loaded now stays: no need to look so often.
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        recorder = Recorder()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: recorder.stop())
        if options["parent"]:
            threading.Thread(target=_outlive, args=(options["parent"], recorder), daemon=True).start()
        recorder.run()


def _outlive(parent: int, recorder: Recorder) -> None:
    """Stop the recorder when it has lost its parent: a worker that was killed stops nothing itself."""
    while os.getppid() == parent:
        time.sleep(1.0)
    recorder.stop()
