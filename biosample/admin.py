"""Submissions and their records for the staff; what the machine writes is read-only."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.contrib.admin.options import InlineModelAdmin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from kombu.exceptions import OperationalError

from biosample.exceptions import InvalidTransition
from biosample.forms import MOST as INLINE_LIMIT
from biosample.forms import SENT
from biosample.models import Annotation, Record, Submission
from biosample.states import State
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Source
from jobroom.tasks import enqueue
from jobroom.users import User

if TYPE_CHECKING:
    Inline = admin.TabularInline[Record, Submission]
    SubmissionModelAdmin = admin.ModelAdmin[Submission]
    RecordModelAdmin = admin.ModelAdmin[Record]
    AnnotationModelAdmin = admin.ModelAdmin[Annotation]
else:  # Django's own classes take no parameters
    Inline = admin.TabularInline
    SubmissionModelAdmin = RecordModelAdmin = AnnotationModelAdmin = admin.ModelAdmin

BADGES = {
    State.WAITING: "…",
    State.LOADED: "↓",
    State.SUBMITTED: "↑",
    State.ERROR: "✖",
    State.NEED_REVISION: "✎",
    State.READY: "●",
    State.COMPLETED: "✔",
}


def badge(state: int) -> str:
    """Return icon and word of a state."""
    known = State(state)
    return f"{BADGES[known]} {known.label}"


class RecordInline(Inline):
    """The records of a submission."""

    model = Record
    extra = 0
    fields = (
        *(
            "alias",
            "kind",
            "species",
            "breed",
            "organism_part",
            "terms_text",
            "state_badge",
            "accession",
            "errors_text",
        ),
    )
    readonly_fields = ("terms_text", "state_badge", "accession", "errors_text")

    def has_add_permission(self, request: HttpRequest, obj: Submission | None = None) -> bool:
        """Records are added until they are sent."""
        return super().has_add_permission(request, obj) and not _sent(obj)

    def has_change_permission(self, request: HttpRequest, obj: Submission | None = None) -> bool:
        """Records are changed until they are sent."""
        return super().has_change_permission(request, obj) and not _sent(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Submission | None = None) -> bool:
        """Records are deleted until they are sent."""
        return super().has_delete_permission(request, obj) and not _sent(obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Record]:
        """Fetch the terms of all of them at once."""
        return super().get_queryset(request).prefetch_related("annotations")

    @admin.display(description="terms")
    def terms_text(self, record: Record) -> str:
        """Return the terms that were found, with how sure they are."""
        return terms_of(record)

    @admin.display(description="state")
    def state_badge(self, record: Record) -> str:
        """Return icon and word of the record's state."""
        return badge(record.state)

    @admin.display(description="errors")
    def errors_text(self, record: Record) -> str:
        """Return what USI found wrong."""
        return "\n".join(record.errors) or "-"


def terms_of(record: Record) -> str:
    """Return the terms of a record in one line: id, name and confidence; a value without one says so."""
    if record._state.adding:
        return "-"
    found = []
    for annotation in record.annotations.all():
        if annotation.outcome == Annotation.Outcome.FOUND:
            found.append(f"{annotation.term_id} {annotation.term_name} ({annotation.confidence:.0%})")
        else:
            found.append(f"{annotation.value}: {annotation.outcome}")
    return "; ".join(found) or "-"


def _sent(submission: Submission | None) -> bool:
    return submission is not None and submission.state in SENT


@admin.register(Submission)
class SubmissionAdmin(SubmissionModelAdmin):
    """Submissions with their records."""

    list_display = ("title", "owner", "state_badge", "usi_status", "record_count", "changed_at", "problem_text")
    list_filter = ("state", ("owner", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("owner",)
    list_per_page = 50
    search_fields = ("title", "usi_name", "owner__username", "records__alias", "records__accession")
    search_help_text = "Title, name in USI, owner, alias or accession of a record"
    date_hierarchy = "changed_at"
    # Not `autocomplete_fields`, whose widget fails at what is no id.
    raw_id_fields = ("owner",)
    actions = ("fetch_status_now", "annotate_now", "mark_as_submitted")
    machine_fields = (
        *("state_badge", "message", "problem", "usi_status", "submitted_at", "changed_at", "checked_at"),
        *("mail_due_at", "created_at", "updated_at"),
    )
    fieldsets = (
        (None, {"fields": ("title", "owner", "usi_name", "all_records")}),
        ("What the machine says", {"fields": machine_fields}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Submission]:
        """Count the records in the same query."""
        return super().get_queryset(request).annotate(records_counted=Count("records", distinct=True))

    def get_readonly_fields(self, request: HttpRequest, obj: Submission | None = None) -> tuple[str, ...]:
        """The name in USI stays what it is while USI has the submission."""
        fields = ("all_records", *self.machine_fields)
        return (*fields, "usi_name") if _sent(obj) else fields

    def get_inlines(
        self, request: HttpRequest, obj: Submission | None
    ) -> "tuple[type[InlineModelAdmin[Any, Any]], ...]":
        """Long lists of records have a page of their own: a form of thousands of rows is neither read nor accepted."""
        return () if obj is not None and obj.records.count() > INLINE_LIMIT else (RecordInline,)

    def save_model(self, request: HttpRequest, obj: Submission, form: Any, change: bool) -> None:
        """Write what was typed and nothing else: the machine may have changed the state since the page was read."""
        obj.save(update_fields=[*form.changed_data, "updated_at"] if change else None)

    def get_deleted_objects(
        self, objs: QuerySet[Submission] | Sequence[Submission], request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Records go with their submission, though no one deletes one on its own page."""
        deleted, counts, forbidden, protected = super().get_deleted_objects(objs, request)
        theirs = {str(model._meta.verbose_name) for model in (Record, Annotation)}
        return deleted, counts, forbidden - theirs, protected

    @admin.display(description="all records")
    def all_records(self, submission: Submission) -> str:
        """Return a link to the list of its records."""
        if submission._state.adding:
            return "-"
        address = f"{reverse('admin:biosample_record_changelist')}?submission__id__exact={submission.pk}"
        return format_html('<a href="{}">{} records</a>', address, submission.records.count())

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

    @admin.action(description="Annotate with terms now", permissions=["change"])
    def annotate_now(self, request: HttpRequest, queryset: QuerySet[Submission]) -> None:
        """Send a job for each that looks up the terms of its records."""
        user = cast("User", request.user)
        for submission in queryset:
            arguments = {"submission": submission.pk}
            launch(task="biosample.annotate_submission", arguments=arguments, by=user, source=Source.PAGE)
        self.message_user(
            request, f"Jobs sent: {queryset.count()}. Each submission's page shows its terms.", messages.SUCCESS
        )

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


@admin.register(Record)
class RecordAdmin(RecordModelAdmin):
    """All animals and samples, to look at; they are changed on the page of their submission."""

    list_display = ("alias", "kind", "submission", "terms_text", "state_badge", "accession", "errors_text")
    list_filter = ("state", "kind", "annotations__outcome")
    list_select_related = ("submission",)
    list_per_page = 100
    show_full_result_count = False
    search_fields = ("alias", "accession", "submission__title", "annotations__term_id")
    search_help_text = "Alias, accession, term id, or title of the submission"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Record]:
        """Fetch the terms of all of them at once."""
        return super().get_queryset(request).prefetch_related("annotations")

    @admin.display(description="terms")
    def terms_text(self, record: Record) -> str:
        """Return the terms that were found, with how sure they are."""
        return terms_of(record)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Let the link from a submission through."""
        return lookup == "submission__id__exact" or super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """No one adds one here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Record | None = None) -> bool:
        """No one changes one here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Record | None = None) -> bool:
        """No one deletes one here."""
        return False

    @admin.display(description="state", ordering="state")
    def state_badge(self, record: Record) -> str:
        """Return icon and word of the record's state."""
        return badge(record.state)

    @admin.display(description="errors")
    def errors_text(self, record: Record) -> str:
        """Return what USI found wrong."""
        return "; ".join(record.errors) or "-"


@admin.register(Annotation)
class AnnotationAdmin(AnnotationModelAdmin):
    """The terms of all records, to look at: jobs write them."""

    list_display = ("record", "attribute", "value", "outcome", "term_id", "term_name", "confidence", "vocabulary")
    list_filter = ("outcome", "attribute", "vocabulary")
    list_select_related = ("record",)
    list_per_page = 100
    show_full_result_count = False
    search_fields = ("value", "term_id", "term_name", "record__alias")
    search_help_text = "Value, id or name of the term, or alias of the record"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """No one adds one here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Annotation | None = None) -> bool:
        """No one changes one here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Annotation | None = None) -> bool:
        """No one deletes one here; it goes with its record."""
        return False
