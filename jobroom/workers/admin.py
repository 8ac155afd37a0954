"""Dead letters in Django's admin: to read and to delete."""

from django.contrib import admin

from jobroom.jobs.admin_base import ReadOnly, job_link
from jobroom.workers.models import DeadLetter


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # cannot be subscripted at run time
    """Nothing can be added or changed; a job that failed so is run again from its own page."""

    list_display = ("at", "task", "queue", "kind", "reason", "job")
    list_filter = ("kind", "queue")
    search_fields = ("=job_id", "=task")
    show_full_result_count = False
    fields = ("at", "job", "task", "queue", "worker", "kind", "reason", "size", "head")
    readonly_fields = fields
    deletable = True

    @admin.display(description="job")
    def job(self, dead_letter: DeadLetter) -> str:
        """Show the job as a link to its page."""
        return job_link(dead_letter.job_id)
