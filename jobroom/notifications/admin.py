"""The list of failure mails: to read, and to send one again; and the mails of the site, to read."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from jobroom.notifications.models import AdminMail, Attempt, Mail, MailState
from jobroom.notifications.querysets import AdminMailQuerySet

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[AdminMail]
    HistoryAdmin = admin.ModelAdmin[Mail]
    Inline = admin.TabularInline[Attempt, Mail]
else:
    ModelAdmin = HistoryAdmin = admin.ModelAdmin
    Inline = admin.TabularInline


def _job_link(job_id: str) -> str:
    """Return a link to the page of the job; a dash without one."""
    return format_html('<a href="{}">{}</a>', reverse("jobroom:jobs:job", args=[job_id]), job_id) if job_id else "-"


@admin.register(AdminMail)
class AdminMailAdmin(ModelAdmin):
    """Nothing can be added or changed; what failed can be sent again."""

    list_display = ("subject", "state", "created_at", "attempts", "error", "job")
    list_filter = ("state", "created_at", "task")
    search_fields = ("subject", "job_id", "error")
    date_hierarchy = "created_at"
    show_full_result_count = False
    actions = ("send_again",)
    fields = (
        *("subject", "state", "error", "attempts", "next_try", "recipients", "created_at", "sent_at"),
        *("task", "job", "fingerprint", "text"),
    )
    readonly_fields = ("job", "text")

    @admin.display(description="job", ordering="job_id")
    def job(self, mail: AdminMail) -> str:
        """Show the job as a link to its page."""
        return _job_link(mail.job_id)

    @admin.display(description="mail")
    def text(self, mail: AdminMail) -> str:
        """Show the mail as it was written."""
        return format_html("<pre>{}</pre>", mail.body)

    @admin.action(description="Send again", permissions=["resend"])
    def send_again(self, request: HttpRequest, queryset: AdminMailQuerySet) -> None:
        """Have the chosen mails sent by the recorder; those that went out or were grouped are left alone."""
        chosen = queryset.filter(state__in=[MailState.FAILED, MailState.NOBODY])
        for mail in chosen:
            mail.again()
        count, others = len(chosen), queryset.count() - len(chosen)
        if count:
            self.message_user(request, f"Sent again within a minute: {count}. The state tells what came of it.")
        if others:
            text = f"Left alone, because only a mail that failed can be sent again: {others}."
            self.message_user(request, text, messages.WARNING)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may send a mail again."""
        return request.user.has_perm("jobroom_notifications.resend_adminmail")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """No one writes a failure mail by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No one changes what was said."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Old mails are deleted by housekeeping."""
        return False


class ReadOnly:
    """What happened is not changed by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No one adds to what happened."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No one changes it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Old ones are deleted by a schedule."""
        return False


class AttemptInline(ReadOnly, Inline):
    """The attempts of a mail."""

    model = Attempt
    extra = 0
    fields = ("number", "outcome", "by", "job_id", "error", "started_at", "ended_at")


@admin.register(Mail)
class MailAdmin(ReadOnly, HistoryAdmin):
    """The mails of the site without their text; their own page has more."""

    list_display = ("subject", "state", "recipients", "created_at", "attempts", "error", "page")
    list_filter = ("state", "created_at")
    search_fields = ("recipients", "subject", "key")
    show_full_result_count = False
    inlines = (AttemptInline,)
    fields = (
        *("page", "subject", "key", "state", "sender", "recipients", "delivered", "refused", "error", "may_repeat"),
        *("attempts", "claimed_by", "claimed_at", "handed_at", "next_try", "job_id", "created_at", "ended_at", "size"),
    )
    readonly_fields = ("page",)

    @admin.display(description="page")
    def page(self, mail: Mail) -> str:
        """Show the address of the mail's own page."""
        return format_html('<a href="{}">open</a>', mail.get_absolute_url())
