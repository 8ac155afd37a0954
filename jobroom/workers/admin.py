"""The list of dead letters, to read and to clear away."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from jobroom.workers.models import DeadLetter


def _job_link(job_id: str) -> str:
    """Return a link to the page of the job; a dash without one."""
    return format_html('<a href="{}">{}</a>', reverse("jobroom:jobs:job", args=[job_id]), job_id) if job_id else "-"


@admin.register(DeadLetter)
class DeadLetterAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # cannot be subscripted at run time
    """Nothing can be added or changed; a job that failed so is run again from its own page."""

    list_display = ("at", "task", "queue", "kind", "reason", "job")
    list_filter = ("kind", "queue")
    search_fields = ("=job_id", "=task")
    show_full_result_count = False
    fields = ("at", "job", "task", "queue", "worker", "kind", "reason", "size", "head")
    readonly_fields = fields

    @admin.display(description="job")
    def job(self, letter: DeadLetter) -> str:
        """Show the job as a link to its page."""
        return _job_link(letter.job_id)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Letters come from workers alone."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A letter says what was."""
        return False
