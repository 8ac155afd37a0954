"""The history in Django's admin, read-only."""

import uuid
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db import models, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django_celery_results.models import GroupResult, TaskResult

from jobroom.jobs import catalogue, limits
from jobroom.jobs.admin_base import ColumnFilter, ExactSearchAdmin, NewestFirst, ReadOnly, ReadOnlyAdmin
from jobroom.jobs.forms.rules import TaskRuleForm
from jobroom.jobs.models import Allowance, ApiToken, Attempt, Job, Preset, SignOut, State, StoredFile, TaskRule
from jobroom.jobs.recorder.archive import STATUS
from jobroom.jobs.templatetags.jobroom_jobs import bar
from jobroom.jobs.tokens import new_token
from jobroom.live import access
from jobroom.users import User


class StateFilter(ColumnFilter):
    """Jobs of one state."""

    title = "state"
    parameter_name = "state"
    offered = State.choices


class StatusFilter(ColumnFilter):
    """Results of one Celery state: those in which a job ends."""

    title = "status"
    parameter_name = "status"
    offered = tuple((status, status) for status in sorted(set(STATUS.values())))


class AttemptInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """The attempts of a job."""

    model = Attempt
    fields = ("number", "state", "worker", "started_at", "finished_at", "runtime", "error_type", "error")
    ordering = ("number",)
    extra = 0
    show_change_link = True


@admin.register(Job)
class JobAdmin(ExactSearchAdmin):
    """Jobs; the pages of Jobroom show more of them."""

    list_display = ("id", "task", "label", "state", "progress_shown", "queue", "created_at", "finished_at")
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

    @admin.display(description="progress", empty_value="—")
    def progress_shown(self, job: Job) -> str | None:
        """Return the bar of a running job."""
        return bar(job.fraction) if job.state == State.RUNNING else None

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
    search_fields = ("name", f"user__{User.USERNAME_FIELD}")
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who makes a token for someone can act as them, which is for those who may do everything anyway."""
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No one gives another person's token a new meaning."""
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
        access.changed()
        self.message_user(request, f"{count} tokens revoked.")


@admin.register(TaskRule)
class TaskRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who may do what with a task; without a rule only staff may."""

    form = TaskRuleForm
    list_display = ("task", "known", "see_by", "launch_by", "arguments_by", "cancel_by", "queues_shown")
    ordering = ("task",)
    search_fields = ("task",)
    formfield_overrides: ClassVar[Any] = {models.ManyToManyField: {"widget": forms.CheckboxSelectMultiple}}

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaskRule]:
        """Return the rules with their groups, in one query for each right."""
        return super().get_queryset(request).prefetch_related("see", "launch", "arguments", "cancel")

    @admin.display(description="known", boolean=True)
    def known(self, rule: TaskRule) -> bool:
        """Return whether the task exists."""
        return rule.task in {entry.name for entry in catalogue.entries()}

    @admin.display(description="may see", empty_value="—")
    def see_by(self, rule: TaskRule) -> str:
        """Return the groups that see the task's jobs."""
        return _names(rule.see)

    @admin.display(description="may launch", empty_value="—")
    def launch_by(self, rule: TaskRule) -> str:
        """Return the groups that launch it."""
        return _names(rule.launch)

    @admin.display(description="may read arguments", empty_value="—")
    def arguments_by(self, rule: TaskRule) -> str:
        """Return the groups that read arguments and results."""
        return _names(rule.arguments)

    @admin.display(description="may cancel", empty_value="—")
    def cancel_by(self, rule: TaskRule) -> str:
        """Return the groups that cancel and retry."""
        return _names(rule.cancel)

    @admin.display(description="queues", empty_value="—")
    def queues_shown(self, rule: TaskRule) -> str:
        """Return the queues to choose from."""
        return ", ".join(rule.queues)


def _names(groups: Any) -> str:
    return ", ".join(sorted(group.name for group in groups.all()))


@admin.register(Preset)
class PresetAdmin(ReadOnlyAdmin):
    """Arguments that people keep; they change them on the launch page, here they are read and deleted."""

    list_display = ("name", "task", "owner", "queue", "created_at")
    list_select_related = ("owner",)
    ordering = ("task", "name")
    search_fields = ("name", "task", f"owner__{User.USERNAME_FIELD}")
    deletable = True


@admin.register(StoredFile)
class StoredFileAdmin(ExactSearchAdmin):
    """Uploaded files and those that jobs made; the clean-up deletes them with their jobs."""

    list_display = ("id", "name", "size", "content_type", "owner", "job_id", "created_at")
    list_select_related = ("owner",)
    ordering = ("-created_at",)
    sortable_by = ()
    search_fields = ("job_id",)
    search_help_text = "The whole id of a file, or of the job that made it"
    exact = ("job_id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look for an id of a file first."""
        try:
            found = queryset.filter(pk=uuid.UUID(search_term.strip()))
        except ValueError:
            found = queryset.none()
        return (found, False) if found.exists() else super().get_search_results(request, queryset, search_term)


@admin.register(Allowance)
class AllowanceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What a person or a group may do more, or less, than the settings say; counts within a minute."""

    list_display = ("__str__", "launches", "task_launches", "uploads", "waiting", "bytes")
    # Not `autocomplete_fields`, whose widget fails at what is no id.
    raw_id_fields = ("user",)
    fields = ("user", "group", "launches", "task_launches", "uploads", "waiting", "bytes")

    def save_model(self, request: HttpRequest, obj: Allowance, form: Any, change: bool) -> None:
        """Keep it; of a person it counts at once."""
        super().save_model(request, obj, form, change)
        if user := obj.user_id:
            transaction.on_commit(lambda: limits.forget_allowance(user))


@admin.register(SignOut)
class SignOutAdmin(ReadOnlyAdmin):
    """When people ended all their tokens."""

    list_display = ("user", "at")
    list_select_related = ("user",)
