"""The outbox in Django's admin, read-only."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.utils.html import format_html

from jobroom.jobs.admin_base import ReadOnly
from jobroom.notifications.models import Attempt, Mail

if TYPE_CHECKING:
    HistoryAdmin = admin.ModelAdmin[Mail]
    Inline = admin.TabularInline[Attempt, Mail]
else:
    HistoryAdmin = admin.ModelAdmin
    Inline = admin.TabularInline


class AttemptInline(ReadOnly, Inline):
    """The attempts of a mail."""

    model = Attempt
    extra = 0
    fields = ("number", "outcome", "by", "job_id", "error", "started_at", "ended_at")


@admin.register(Mail)
class MailAdmin(ReadOnly, HistoryAdmin):
    """The mails of the site without their text; their own page has more."""

    list_display = ("subject", "state", "recipients", "created_at", "attempts", "error", "page")
    list_filter = ("state", "created_at", "task")
    search_fields = ("recipients", "subject", "key", "failed_job")
    show_full_result_count = False
    inlines = (AttemptInline,)
    fields = (
        *("page", "subject", "key", "state", "sender", "recipients", "delivered", "refused", "error", "may_repeat"),
        *(
            "attempts",
            "claimed_by",
            "claimed_at",
            "handed_at",
            "next_try",
            "job_id",
            "failed_job",
            "task",
            "fingerprint",
            "created_at",
            "ended_at",
            "size",
        ),
    )
    readonly_fields = ("page",)

    @admin.display(description="page")
    def page(self, mail: Mail) -> str:
        """Show the address of the mail's own page."""
        return format_html('<a href="{}">open</a>', mail.get_absolute_url())
