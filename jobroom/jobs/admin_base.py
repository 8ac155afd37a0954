"""A base for admin pages of large tables: read-only, searched by whole ids, counted up to a limit."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html

from jobroom.jobs.filters import LOOKED, MOST_COUNTED, JobFilter
from jobroom.jobs.models import State
from jobroom.users import User

# So many jobs the list shows of those that no index has together.
MOST_FOUND = 200


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than `MOST_COUNTED`; older rows are found by a search or a filter."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, at most `MOST_COUNTED`."""
        rows = cast("Any", self.object_list)
        known = getattr(rows, "known_count", None)
        if known is not None:
            return int(known)
        return int(rows.order_by().values("pk")[:MOST_COUNTED].count())


def job_link(job_id: str, text: str = "") -> str:
    """Return a link to the page of a job, shown as `text` or else as its id; without an address only that, or a dash."""
    shown = text or job_id or "-"
    try:
        address = reverse("jobroom:jobs:job", args=[job_id]) if job_id else ""
    except NoReverseMatch:  # the id of a job that others sent may hold anything
        address = ""
    return format_html('<a href="{}">{}</a>', address, shown) if address else shown


class ColumnFilter(admin.SimpleListFilter):
    """Rows with one value of the column `parameter_name`; the table is not asked which values occur."""

    offered: Sequence[tuple[str, str]] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return all values with their names."""
        return list(self.offered)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows with the chosen value, all where there is no such value."""
        chosen = self.value()
        return queryset.filter(**{str(self.parameter_name): chosen}) if chosen in dict(self.offered) else queryset


class ReadOnly:
    """For an admin or an inline of rows that only machines write: they are looked at, and at most deleted."""

    deletable = False  # by those who have the permission; else the clean-up alone deletes

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No one adds."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No one changes."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave it to the permission where rows may be deleted by hand."""
        return self.deletable and bool(super().has_delete_permission(request, obj))  # type: ignore[misc]


class ReadOnlyAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # cannot be subscripted at run time
    """Shows rows of a table that only machines write."""

    show_full_result_count = False
    paginator = CappedPaginator
    list_per_page = 50


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
        column = self.column_of(term)
        request.searched_column = column  # type: ignore[attr-defined] # for the list, which goes another way for some
        return (queryset.filter(**{column: term}) if column else queryset.none()), False

    def column_of(self, term: str) -> str | None:
        """Return the first of the `exact` columns that holds the term in any row; whatever is filtered beside it."""
        rows = self.model._default_manager.all()
        return next((column for column in self.exact if rows.filter(**{column: term}).exists()), None)


class NewestFirst(ChangeList):
    """Orders by the index of the newest; Django's own would add the key once more and the index would not help.

    Of a task or a schedule and a state together no index knows: of those the list shows what can be found in a moment, as
    the product's own list does.
    """

    looked_until: datetime | None = None  # back to when jobs were looked at; None when that is all of them

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return the jobs that match, those of a combined filter by their keys."""
        rows = super().get_queryset(request, exclude_parameters)
        term = self.query.replace("\x00", "").strip()
        state = request.GET.get("state")
        owner: Any = self.model_admin
        column = getattr(request, "searched_column", None) if state in State.values else None
        if column not in ("task", "schedule"):
            return rows
        search = JobFilter({column: term, "state": str(state)}, cast("User", request.user)).search
        found = search.look(most=MOST_FOUND, seconds=LOOKED)
        self.looked_until = found.upto.at if found.upto else None
        kept = self.root_queryset.filter(pk__in=[place.pk for place in found.places]).order_by(*owner.ordering)
        kept.known_count = len(found.places)  # type: ignore[attr-defined] # for the paginator: it need not ask again
        return kept

    def _get_deterministic_ordering(self, ordering: list[Any]) -> list[Any]:
        return ordering
