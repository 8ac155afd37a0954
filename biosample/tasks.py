"""The tasks of submissions to BioSamples."""

import random
from typing import Annotated, Any

from biosample import services
from biosample.conf import settings
from biosample.exceptions import UsiError, UsiNotConfigured, UsiUnavailable
from biosample.models import Submission
from image.celery import app
from jobroom.tasks import Argument, BaseTask, ExclusiveLock, JobFailed, NotifyAdminTaskMixin, exclusive_task

# Longest pause in seconds before the task is tried again, whatever USI asks for: beat comes every quarter of an hour.
LONGEST_PAUSE = 600.0


class FetchStatusTask(NotifyAdminTaskMixin, BaseTask):
    """Brings every submitted submission up to date with USI."""

    name = "Fetch USI status"
    description = """Fetch biosample using USI API"""
    action = "fetching the status of submissions from USI"
    throws = (*BaseTask.throws, UsiError)
    # A second run finds what the first one left: nothing is done or reported twice.
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


# Held by the job that annotates with a vocabulary, of whichever task.
VOCABULARY_LOCK = "annotate:{vocabulary}"

TheSubmission = Annotated[Submission, Argument(title="Submission", help="Whose records to annotate")]


def offered(answers: Any) -> list[tuple[str, str]]:
    """Return the vocabularies that are annotated with, for a form."""
    return [(name, name) for name in sorted(set(settings.VOCABULARIES.values()))]


class AnnotateRecordsTask(NotifyAdminTaskMixin, BaseTask):
    """Looks up one kind of words of all records."""

    name = "Annotate records"
    description = """Find the terms that the breeds, species or organism parts of all records mean.

Only what is new or has changed is looked up, or everything after a new version of the vocabulary. Values without a term are
listed with the nearest names. No one else annotates with the same vocabulary meanwhile.
"""
    action = "annotating records with a vocabulary"
    resources = ("vocabularies",)
    acks_late = True

    @exclusive_task(task_name="Annotate records", lock_id=VOCABULARY_LOCK)
    def run(
        self, vocabulary: Annotated[str, Argument(title="Vocabulary", help="Whose terms to find", choices=offered)]
    ) -> dict[str, Any]:
        """Annotate every attribute that belongs to the vocabulary."""
        return {attribute: self.look_up(attribute) for attribute in services.attributes_of(vocabulary)}

    def look_up(self, attribute: str) -> dict[str, Any]:
        """Annotate one attribute of all records; return the counts."""
        index = self.vocabularies[settings.VOCABULARIES[attribute]]
        job_id = str(self.request.id or "")
        return services.annotate(attribute=attribute, index=index, reporter=self, job_id=job_id).result()


class AnnotateAllTask(AnnotateRecordsTask):
    """Looks up all words of all records."""

    name = "Annotate All"
    description = """Find the terms of all breeds, species and organism parts.

One vocabulary after the other, and no one else annotates with it meanwhile. One that another job works with is waited for,
and left to that job when it takes too long. What goes wrong with one vocabulary does not stop the others.
"""
    action = "annotating records with all vocabularies"

    @exclusive_task(task_name="Annotate All", lock_id="AnnotateAll")
    def run(self) -> dict[str, Any]:  # type: ignore[override]  # it is another task, which works alike
        """Annotate every attribute."""
        found: dict[str, Any] = {}
        problems = []
        for attribute, vocabulary in settings.VOCABULARIES.items():
            with self.stage(attribute.replace("_", " "), weight=1, of=len(settings.VOCABULARIES)):
                try:
                    found[attribute] = self.alone(attribute, vocabulary)
                except JobFailed as error:
                    problems.append(str(error))
                    found[attribute] = {"summary": str(error)}
                    self.log("error", str(error), obj=attribute)
        if len(problems) == len(settings.VOCABULARIES):
            raise JobFailed(" ".join(problems))
        return found

    def alone(self, attribute: str, vocabulary: str) -> dict[str, Any]:
        """Annotate one attribute under the lock of its vocabulary, or say who has that."""
        lock = ExclusiveLock(VOCABULARY_LOCK.format(vocabulary=vocabulary), task=self.name)
        if not lock.acquire(settings.ANNOTATE_WAIT):
            line = f"Left to {lock.refusal.job or 'someone'}, who annotates with {vocabulary} now."
            self.log("warning", line, obj=attribute)
            return {"summary": line}
        try:
            return self.look_up(attribute)
        finally:
            lock.release()


@app.task(
    bind=True,
    base=app.Task,
    name="biosample.annotate_submission",
    acks_late=True,
    resources=("vocabularies",),
    step_of="Annotate All",
)
def annotate_submission(self: Any, submission: TheSubmission) -> dict[str, Any]:
    """Find the terms of the breeds, species and organism parts of one submission."""
    found = {}
    for attribute, vocabulary in settings.VOCABULARIES.items():
        index = self.vocabularies[vocabulary]
        job_id = str(self.request.id or "")
        with self.stage(attribute.replace("_", " "), weight=1, of=len(settings.VOCABULARIES)):
            counts = services.annotate(
                attribute=attribute, index=index, reporter=self, job_id=job_id, submission=submission
            )
        found[attribute] = counts.result()
    return found


app.tasks.register(AnnotateRecordsTask)  # type: ignore[arg-type]  # Celery takes classes too, its stubs do not know
app.tasks.register(AnnotateAllTask)  # type: ignore[arg-type]
app.tasks.register(FetchStatusTask)  # type: ignore[arg-type]  # Celery takes classes too, its stubs do not know
