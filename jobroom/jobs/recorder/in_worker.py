"""A recorder beside a worker, so that a project needs no further process: `JOBROOM = {"JOBS_RECORD_IN_WORKERS": True}`.

The worker starts it as a child of its own, so that it takes neither the worker's memory nor its time, and stops it in the
end. Where there is load, run `manage.py jobroom record` instead; several of either work together.
"""

import os
import subprocess
import sys
from typing import Any

from celery import bootsteps

from jobroom.jobs.conf import settings

# Seconds that the recorder gets to write what it has read.
GRACE = 15


class RecorderStep(bootsteps.StartStopStep):
    """Starts the recorder when the worker starts, and stops it after the pool, whose last events it writes."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.child: subprocess.Popen[bytes] | None = None

    def include_if(self, parent: Any) -> bool:
        """Return whether the project wants it."""
        return bool(settings.RECORD_IN_WORKERS)

    def start(self, parent: Any) -> None:
        """Start the recorder."""
        self.child = subprocess.Popen(
            [sys.executable, "-m", "django", "jobroom", "record", "--parent", str(os.getpid())],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path]))},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the worker, which stops it in order
        )

    def stop(self, parent: Any) -> None:
        """Let the recorder finish its batch."""
        if self.child is None:
            return
        self.child.terminate()
        try:
            self.child.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    terminate = stop
