"""Submissions and their records for the staff; what the machine writes is read-only."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from kombu.exceptions import OperationalError

from biosample.exceptions import InvalidTransition
from biosample.models import Record, State, Submission
from common.tasks import enqueue

if TYPE_CHECKING:
    Inline = admin.TabularInline[Record, Submission]
    ModelAdmin = admin.ModelAdmin[Submission]
else:  # Django's own classes take no parameters
    Inline, ModelAdmin = admin.TabularInline, admin.ModelAdmin

BADGES = {
    State.WAITING: "…",
    State.LOADED: "↓",
    State.SUBMITTED: "↑",
    State.ERROR: "✖",
    State.NEED_REVISION: "✎",
    State.READY: "●",
    State.COMPLETED: "✔",
}
# While USI has them, or for ever after, records are what was sent.
SENT = {State.SUBMITTED, State.COMPLETED}


def badge(state: int) -> str:
    """Return icon and word of a state."""
    known = State(state)
    return f"{BADGES[known]} {known.label}"


class RecordInline(Inline):
    """The records of a submission."""

    model = Record
    extra = 0
    fields = ("alias", "kind", "state_badge", "accession", "errors_text")
    readonly_fields = ("state_badge", "accession", "errors_text")
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: Submission | None = None) -> bool:
        """Records are added until they are sent."""
        return super().has_add_permission(request, obj) and not _sent(obj)

    def has_change_permission(self, request: HttpRequest, obj: Submission | None = None) -> bool:
        """Records are changed until they are sent."""
        return super().has_change_permission(request, obj) and not _sent(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Submission | None = None) -> bool:
        """Records are deleted until they are sent."""
        return super().has_delete_permission(request, obj) and not _sent(obj)

    @admin.display(description="state")
    def state_badge(self, record: Record) -> str:
        """Return icon and word of the record's state."""
        return badge(record.state)

    @admin.display(description="errors")
    def errors_text(self, record: Record) -> str:
        """Return what USI found wrong."""
        return "\n".join(record.errors) or "-"


def _sent(submission: Submission | None) -> bool:
    return submission is not None and submission.state in SENT


@admin.register(Submission)
class SubmissionAdmin(ModelAdmin):
    """Submissions with their records."""

    list_display = ("title", "owner", "state_badge", "usi_status", "record_count", "changed_at", "problem_text")
    list_filter = ("state", ("owner", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("owner",)
    list_per_page = 50
    search_fields = ("title", "usi_name", "owner__username", "records__alias", "records__accession")
    search_help_text = "Title, name in USI, owner, alias or accession of a record"
    date_hierarchy = "changed_at"
    autocomplete_fields = ("owner",)
    inlines = (RecordInline,)
    actions = ("fetch_status_now", "mark_as_submitted")
    machine_fields = (
        *("state_badge", "message", "problem", "usi_status", "submitted_at", "changed_at", "checked_at"),
        *("mail_due_at", "created_at", "updated_at"),
    )
    fieldsets = (
        (None, {"fields": ("title", "owner", "usi_name")}),
        ("What the machine says", {"fields": machine_fields}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Submission]:
        """Count the records in the same query."""
        return super().get_queryset(request).annotate(records_counted=Count("records", distinct=True))

    def get_readonly_fields(self, request: HttpRequest, obj: Submission | None = None) -> tuple[str, ...]:
        """The name in USI stays what it is while USI has the submission."""
        return (*self.machine_fields, "usi_name") if _sent(obj) else self.machine_fields

    @admin.display(description="state", ordering="state")
    def state_badge(self, submission: Submission) -> str:
        """Return icon and word of the state."""
        return badge(submission.state)

    @admin.display(description="records", ordering="records_counted")
    def record_count(self, submission: Any) -> int:
        """Return how many records it has."""
        return int(submission.records_counted)

    @admin.display(description="problem")
    def problem_text(self, submission: Submission) -> str:
        """Return the beginning of the problem."""
        text = submission.problem
        return text if len(text) <= 80 else f"{text[:79]}…"

    @admin.action(description="Fetch status now (of all that are submitted)", permissions=["change"])
    def fetch_status_now(self, request: HttpRequest, queryset: QuerySet[Submission]) -> None:
        """Send the job that asks USI about every submitted submission."""
        try:
            job = enqueue("Fetch USI status")
        except OperationalError:
            self.message_user(request, "The job could not be sent: Redis does not answer.", messages.ERROR)
            return
        self.message_user(request, f"Job {job.id} asks USI about every submitted submission.", messages.SUCCESS)

    @admin.action(description="Mark as submitted to USI", permissions=["change"])
    def mark_as_submitted(self, request: HttpRequest, queryset: QuerySet[Submission]) -> None:
        """From now on the status is fetched; also takes up one again that we gave up."""
        done = 0
        for submission in queryset:
            try:
                submission.submit()
                done += 1
            except InvalidTransition as error:
                self.message_user(request, str(error), messages.ERROR)
        if done:
            self.message_user(request, f"{done} marked as submitted.", messages.SUCCESS)
