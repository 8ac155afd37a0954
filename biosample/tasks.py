"""The tasks of submissions to BioSamples."""

import random
from typing import Any

from biosample import services
from biosample.conf import settings
from biosample.exceptions import UsiError, UsiNotConfigured, UsiUnavailable
from common.tasks import BaseTask, NotifyAdminTaskMixin, exclusive_task
from image.celery import app

# Longest pause in seconds before the task is tried again, whatever USI asks for: beat comes every quarter of an hour.
LONGEST_PAUSE = 600.0


class FetchStatusTask(NotifyAdminTaskMixin, BaseTask):
    """Brings every submitted submission up to date with USI."""

    name = "Fetch USI status"
    description = """Fetch biosample using USI API"""
    action = "fetching the status of submissions from USI"
    throws = (*BaseTask.throws, UsiError)
    # A second run finds what the first one left: nothing is done or told twice.
    acks_late = True

    @exclusive_task(task_name="Fetch USI status", lock_id="FetchStatusTask")
    def run(self) -> dict[str, Any]:
        """Ask USI about every submitted submission, store accessions and errors, and mail the owners."""
        self.debug_task()
        try:
            return services.fetch_statuses(track=self.track)
        except UsiUnavailable as error:
            return self.wait_for_usi(error)
        except (UsiError, UsiNotConfigured) as error:
            return services.stop(reason=str(error))

    def wait_for_usi(self, error: UsiUnavailable) -> dict[str, Any]:
        """Try again later; after the last time leave it to the next scheduled run."""
        tried = self.request.retries or 0
        if tried < settings.RETRIES and not self.request.called_directly:
            pause = max(error.retry_after or 0.0, settings.RETRY_PAUSE * 2**tried)
            jitter = random.uniform(1.0, 1.25)  # noqa: S311 — spreads load, keeps no secret
            raise self.retry(exc=error, countdown=min(LONGEST_PAUSE, pause) * jitter, max_retries=settings.RETRIES)
        return services.stop(reason=str(UsiUnavailable()))


app.tasks.register(FetchStatusTask)  # type: ignore[arg-type]  # Celery takes classes too, its stubs do not know
