"""One table for all mails: those about failed jobs, which had a table of their own, move into it with what became of them."""

from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import migrations, models

from jobroom.tasks.admin_mail import get_admin_emails

_CHUNK = 500
_TOLD = ("failed_job", "task", "fingerprint")


def move(apps: Any, schema_editor: Any) -> None:
    """Turn each failure mail into a row of the outbox; those that only counted in a summary are left out."""
    failures = apps.get_model("jobroom_notifications", "AdminMail").objects.using(schema_editor.connection.alias)
    mails = apps.get_model("jobroom_notifications", "Mail").objects.using(schema_editor.connection.alias)
    for old in failures.filter(mail=None).exclude(state="grouped").order_by("pk").iterator(_CHUNK):
        mails.get_or_create(key=f"failure {old.pk}", defaults=_fields(old))
    for mail in mails.exclude(failure=None).select_related("failure").iterator(_CHUNK):
        old = mail.failure
        mails.filter(pk=mail.pk).update(failed_job=old.job_id, task=old.task, fingerprint=old.fingerprint, failure=None)
    _move_rights(apps)
    if schema_editor.connection.vendor == "postgresql":  # it alters no table whose constraints are still to be checked
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def _fields(old: Any) -> dict[str, Any]:
    recipients = list(old.recipients) or ([] if old.state == "nobody" else get_admin_emails())
    message = EmailMessage(old.subject, old.body, settings.DEFAULT_FROM_EMAIL, recipients)
    content = message.message().as_bytes(linesep="\r\n")
    waits = old.next_try is not None
    return {
        "state": "waiting" if waits else "failed" if old.state == "waiting" else old.state,
        "digest": "",
        "sender": parseaddr(settings.DEFAULT_FROM_EMAIL)[1],
        "recipients": "\n".join(recipients),
        "subject": old.subject,
        "size": len(content),
        "content": content,
        "may_repeat": True,
        "delivered": recipients if old.state == "sent" else [],
        "error": old.error,
        "attempts": old.attempts,
        "created_at": old.created_at,
        "next_try": old.next_try,
        "ended_at": None if waits else old.sent_at or old.created_at,
        **dict(zip(_TOLD, (old.job_id, old.task, old.fingerprint), strict=True)),
    }


def _move_rights(apps: Any) -> None:
    """Give those who could see failure mails and send them again the same rights over the outbox."""
    permissions = apps.get_model("auth", "Permission").objects
    kinds = apps.get_model("contenttypes", "ContentType").objects
    for before, now in (("resend_adminmail", "resend_mail"), ("view_adminmail", "view_mail")):
        old = permissions.filter(content_type__app_label="jobroom_notifications", codename=before).first()
        if old is None:
            continue  # a new database: permissions are made after the migrations
        kind, _ = kinds.get_or_create(app_label="jobroom_notifications", model="mail")
        new, _ = permissions.get_or_create(codename=now, content_type=kind, defaults={"name": now.replace("_", " ")})
        for group in old.group_set.all():
            group.permissions.add(new)
        # A user model of one's own may keep no permissions.
        for user in old.user_set.all() if hasattr(old, "user_set") else ():
            user.user_permissions.add(new)
        old.delete()


class Migration(migrations.Migration):
    dependencies = [
        ("jobroom_notifications", "0002_mails"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            "mail",
            "failed_job",
            models.CharField(blank=True, default="", help_text="The failed job that it is about.", max_length=255),
            preserve_default=False,
        ),
        migrations.AddField(
            "mail",
            "task",
            models.CharField(blank=True, default="", help_text="The task that failed.", max_length=255),
            preserve_default=False,
        ),
        migrations.AddField(
            "mail",
            "fingerprint",
            models.CharField(
                blank=True, default="", help_text="The same for the same error in one place.", max_length=64
            ),
            preserve_default=False,
        ),
        migrations.RunPython(move, migrations.RunPython.noop),
        migrations.RemoveField("mail", "failure"),
        migrations.DeleteModel("AdminMail"),
        migrations.AlterField(
            "mail",
            "state",
            models.CharField(
                choices=[
                    ("waiting", "Waiting"),
                    ("sending", "Sending"),
                    ("sent", "Sent"),
                    ("failed", "Failed"),
                    ("unknown", "Unknown"),
                    ("stopped", "Given up"),
                    ("nobody", "No recipient"),
                ],
                default="waiting",
                max_length=10,
            ),
        ),
        migrations.AddIndex(
            "mail",
            models.Index(
                condition=models.Q(("failed_job", ""), _negated=True), fields=["failed_job"], name="mail_failed_job"
            ),
        ),
    ]
