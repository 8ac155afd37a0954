"""The tasks of the queue `email`."""

import uuid
from typing import Annotated, Any, Literal

from celery import shared_task
from pydantic import AfterValidator, BeforeValidator

from jobroom.exceptions import JobFailed
from jobroom.notifications import addresses, delivery, submission
from jobroom.notifications.exceptions import MailError, NotYet
from jobroom.notifications.models import Mail, State
from jobroom.tasks import Argument, BaseTask

Address = Annotated[str, AfterValidator(addresses.bare)]


def _one_or_many(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


@shared_task(bind=True, base=BaseTask, name="jobroom.notifications.send_email", acks_late=True, max_retries=None)
def send_email(
    self: BaseTask,
    to: Annotated[list[Address], BeforeValidator(_one_or_many), Argument(help="Addresses, one a line.")],
    subject: Annotated[str, Argument(help="One line.")],
    text: Annotated[str, Argument(help="The mail as plain text.", multiline=True)],
    html: Annotated[str, Argument(help="The same as HTML, if you have it.", multiline=True)] = "",
    key: Annotated[
        str, Argument(help="Mails with the same key are one mail and are sent once. Empty: this job is the key.")
    ] = "",
    may_repeat: Annotated[
        Literal["default", "yes", "no"],
        Argument(help="Send it again when it is unknown whether it went out? By default as the site's settings say."),
    ] = "default",
) -> dict[str, Any]:
    """Send one mail, **once**: however often the job runs, and however many jobs have its key.

    What is temporary is tried again, with growing pauses. What a mail server refuses for good is reported at once, and those
    recipients whom it does not refuse get their mail.
    """
    message = submission.compose(
        to=to,
        subject=subject,
        text=text,
        html=html,
        key=key or f"job {self.request.id}",
        may_repeat={"yes": True, "no": False}.get(may_repeat),
    )
    try:
        mail, _ = submission.post(message, job=self.request.id or "")
    except MailError as error:
        raise JobFailed(str(error)) from error
    return _deliver(self, mail)


@shared_task(bind=True, base=BaseTask, name=submission.DELIVER, acks_late=True, max_retries=None)
def deliver_mail(
    self: BaseTask, mail: Annotated[uuid.UUID, Argument(help="The id of a mail, from its page.")]
) -> dict[str, Any]:
    """Send a mail that is in the database. Django's mail API and the page of the mails launch this."""
    found = Mail.objects.without_content().filter(pk=mail).first()
    if found is None:
        raise JobFailed(f"There is no mail {mail}: it was deleted, or it is too old.")
    return _deliver(self, found)


@shared_task(
    bind=True, base=BaseTask, name="jobroom.notifications.cleanup_mails", title="Clean up old mails", acks_late=True
)
def cleanup_mails(
    self: BaseTask,
    days: Annotated[float | None, "Mails older than so many days are deleted; 0 keeps all."] = None,
) -> str:
    """Delete old mails and what was attached to them."""
    return f"{submission.clean(days)} mails deleted"


def _deliver(task: BaseTask, mail: Mail) -> dict[str, Any]:
    """Try once; come back later when that is all that can be done, and fail when nothing can."""
    job, by = task.request.id or "", task.request.hostname or ""
    tried = delivery.deliver(mail=mail, by=by, job=job)
    if not tried and job and mail.job_id == job and mail.state == State.FAILED and mail.again(f"retry of job {job}"):
        delivery.deliver(mail=mail, by=by, job=job)  # the job had ended, so a person wants it to run again
    outcome = {"mail": str(mail.pk), "state": mail.state, "delivered": mail.delivered, "refused": mail.refused}
    if mail.state == State.WAITING and job and mail.job_id == job:
        # The tries are counted by the mail, which is why the tasks themselves have no limit (`max_retries=None`).
        raise task.retry(exc=NotYet(mail.error), eta=mail.next_try)
    if mail.state == State.FAILED:
        raise JobFailed(f"The mail is not sent: {mail.error}")
    if mail.state == State.UNKNOWN:
        raise JobFailed(f"No one knows whether the mail went out, so it is not sent again by itself. {mail.error}")
    return outcome
