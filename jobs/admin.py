"""The history, for staff: to read, never to change."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from django_celery_results.models import GroupResult, TaskResult

from jobs.authentication import new_token
from jobs.filters import MOST_COUNTED
from jobs.models import ApiToken, Attempt, Job, State
from jobs.recorder.archive import STATUS


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than `MOST_COUNTED`; older rows are found by a search or a filter."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, at most `MOST_COUNTED`."""
        rows = cast("QuerySet[Any]", self.object_list)
        return rows.order_by().values("pk")[:MOST_COUNTED].count()


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # cannot be subscripted at run time
    """Shows rows of a table that only machines write."""

    show_full_result_count = False
    paginator = CappedPaginator
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes here; the clean-up does."""
        return False


class ExactSearchAdmin(ReadOnlyAdmin):
    """Finds rows by a whole id or name, which an index answers; a search inside words would read the whole table."""

    exact: tuple[str, ...] = ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the rows in which one of the `exact` columns is the term."""
        term = search_term.replace("\x00", "").strip()
        if not term:
            return queryset, False
        for column in self.exact:
            found = queryset.filter(**{column: term})
            if found.exists():
                return found, False
        return queryset.none(), False


class StateFilter(admin.SimpleListFilter):
    """Jobs of one state."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return all states, without asking the table which of them occur."""
        return [(state.value, str(state.label)) for state in State]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the jobs of the chosen state."""
        return queryset.filter(state=self.value()) if self.value() in State.values else queryset


class StatusFilter(admin.SimpleListFilter):
    """Results of one Celery state."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states in which a job ends, without asking the table which of them occur."""
        return [(status, status) for status in sorted(set(STATUS.values()))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the results of the chosen state."""
        return queryset.filter(status=self.value()) if self.value() else queryset


class AttemptInline(admin.TabularInline):  # type: ignore[type-arg]
    """The attempts of a job."""

    model = Attempt
    fields = ("number", "state", "worker", "started_at", "finished_at", "runtime", "error_type", "error")
    ordering = ("number",)
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes."""
        return False


class NewestFirst(ChangeList):
    """Orders by the index of the newest; Django's own would add the key once more and the index would not help."""

    def _get_deterministic_ordering(self, ordering: list[Any]) -> list[Any]:
        return ordering


@admin.register(Job)
class JobAdmin(ExactSearchAdmin):
    """Jobs; the pages of the control room show more of them."""

    list_display = ("id", "task", "label", "state", "queue", "created_at", "finished_at")
    list_filter = (StateFilter,)
    list_select_related = False
    ordering = ("-created_at", "-id")
    sortable_by = ()
    search_fields = ("id",)
    search_help_text = "The whole id of a job, name of a task, or name of a schedule"
    exact = ("pk", "task", "schedule")
    inlines = (AttemptInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """Leave out the long columns where a list is shown."""
        rows = super().get_queryset(request)
        match = request.resolver_match
        if match and match.url_name and match.url_name.endswith("_changelist"):
            return rows.without_bulk()  # type: ignore[no-any-return, attr-defined]
        return rows

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Use the list that keeps to the index."""
        return NewestFirst


@admin.register(Attempt)
class AttemptAdmin(ExactSearchAdmin):
    """Attempts, newest first."""

    list_display = ("id", "job_id", "number", "state", "worker", "started_at", "finished_at")
    ordering = ("-id",)
    sortable_by = ()
    raw_id_fields = ("job",)
    search_fields = ("job",)
    search_help_text = "The whole id of a job"
    exact = ("job_id",)


admin.site.unregister([TaskResult, GroupResult])


@admin.register(TaskResult)
class TaskResultAdmin(ExactSearchAdmin):
    """The archive of results as django-celery-results keeps it."""

    list_display = ("task_id", "task_name", "periodic_task_name", "status", "worker", "date_done")
    list_filter = (StatusFilter,)
    ordering = ("-date_done",)
    sortable_by = ()
    search_fields = ("task_id",)
    search_help_text = "The whole id of a job, name of a task, or name of a schedule"
    exact = ("task_id", "task_name", "periodic_task_name")


@admin.register(GroupResult)
class GroupResultAdmin(ExactSearchAdmin):
    """The results of groups."""

    list_display = ("group_id", "date_done")
    ordering = ("-date_done",)
    sortable_by = ()
    search_fields = ("group_id",)
    search_help_text = "The whole id of a group"
    exact = ("group_id",)


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """API tokens: made here or by their owners through the API, shown once, revoked by an action."""

    list_display = ("name", "user", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    fields = ("user", "name", "created_at", "last_used_at", "revoked_at")
    readonly_fields = ("created_at", "last_used_at", "revoked_at")
    raw_id_fields = ("user",)
    search_fields = ("name", "user__username")
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who makes a token for somebody can act as them, which is for those who may do everything anyway."""
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody gives somebody else's token a new meaning."""
        return False

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Make the token and show it, which is the only time that it can be read."""
        made, text = new_token(obj.user, obj.name)
        obj.pk, obj.digest = made.pk, made.digest
        self.message_user(request, f"Copy the token now, it is not shown again: {text}", messages.WARNING)

    @admin.action(description="Revoke the selected tokens", permissions=["delete"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """End the tokens at once; their rows stay."""
        count = queryset.filter(revoked_at=None).update(revoked_at=timezone.now())
        self.message_user(request, f"{count} tokens revoked.")
