"""Vocabularies for the staff: to look at and delete; they come by upload."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from ontology import services
from ontology.models import Vocabulary

if TYPE_CHECKING:
    VocabularyModelAdmin = admin.ModelAdmin[Vocabulary]
else:  # Django's own classes take no parameters
    VocabularyModelAdmin = admin.ModelAdmin


@admin.register(Vocabulary)
class VocabularyAdmin(VocabularyModelAdmin):
    """Loaded vocabularies."""

    list_display = ("name", "version", "format", "terms", "data_version", "loaded_at", "loaded_by", "problem")
    list_filter = ("format", "shipped")
    list_select_related = ("loaded_by",)
    search_fields = ("name", "ontology")
    search_help_text = "Name, or what the file calls itself"
    fields = readonly_fields = (
        *("name", "version", "shipped", "file", "format", "sha256", "ontology", "data_version", "terms", "obsolete"),
        *("labels", "outside", "loaded_at", "loaded_by", "job_id", "error", "failed_at", "created_at"),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Vocabularies come by upload, which reads them."""
        return False

    @admin.display(description="problem")
    def problem(self, vocabulary: Vocabulary) -> str:
        """Return the beginning of why the latest load failed."""
        return vocabulary.error if len(vocabulary.error) <= 80 else f"{vocabulary.error[:79]}…"

    def delete_model(self, request: HttpRequest, obj: Vocabulary) -> None:
        """Delete the files too."""
        services.remove(vocabulary=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Vocabulary]) -> None:
        """Delete the files too."""
        for vocabulary in queryset:
            services.remove(vocabulary=vocabulary)
