"""The mail helpers of the task API under their documented name."""

from jobroom.tasks.admin_mail import get_admin_emails, send_mail_to_admins

__all__ = ["get_admin_emails", "send_mail_to_admins"]
