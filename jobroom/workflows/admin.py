"""Workflows and their definitions in Django's admin, read-only."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest

from jobroom.jobs.admin_base import ColumnFilter, ExactSearchAdmin, NewestFirst, ReadOnly, ReadOnlyAdmin
from jobroom.workflows.models import Definition, DefinitionVersion, State, StoredWorkflow


class StateFilter(ColumnFilter):
    """Workflows in one state."""

    title = "state"
    parameter_name = "state"
    offered = State.choices


@admin.register(StoredWorkflow)
class StoredWorkflowAdmin(ExactSearchAdmin):
    """Workflows; their pages show more of them. The graph is never read here."""

    list_display = ("id", "name", "state", "total", "owner", "created_at", "finished_at")
    list_filter = (StateFilter,)
    list_select_related = ("owner",)
    ordering = ("-created_at", "-id")
    sortable_by = ()
    exclude = ("graph", "node_states")
    search_fields = ("id",)
    search_help_text = "The whole id or name of a workflow"
    exact = ("pk", "name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[StoredWorkflow]:
        """Leave out the long columns."""
        rows = super().get_queryset(request)
        match = request.resolver_match
        if match and match.url_name and match.url_name.endswith("_changelist"):
            return rows.without_bulk()  # type: ignore[no-any-return, attr-defined]
        return rows.defer("graph", "node_states")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Use the list that keeps to the index."""
        return NewestFirst


class VersionInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """The texts of a definition, the newest first."""

    model = DefinitionVersion
    fields = ("number", "origin", "sha256", "created_at")
    ordering = ("-number",)
    extra = 0
    show_change_link = True


@admin.register(Definition)
class DefinitionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Definitions come from files; here is decided who may launch them, and whether anyone may."""

    list_display = ("name", "title", "enabled", "created_at")
    ordering = ("name",)
    search_fields = ("name", "title")
    fields = ("name", "title", "description", "enabled", "launch", "created_at")
    readonly_fields = ("name", "title", "description", "created_at")
    formfield_overrides: ClassVar[Any] = {models.ManyToManyField: {"widget": forms.CheckboxSelectMultiple}}
    inlines = (VersionInline,)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No one adds here: a definition is a file of an app, or is loaded by a command."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No one deletes here: workflows keep the version that they were launched from."""
        return False


@admin.register(DefinitionVersion)
class DefinitionVersionAdmin(ReadOnlyAdmin):
    """The texts of definitions, as workflows keep them."""

    list_display = ("definition", "number", "origin", "created_at")
    list_select_related = ("definition",)
    raw_id_fields = ("definition",)
