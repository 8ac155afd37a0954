"""Assets and their results for the staff: to look at, rename and delete."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from assets import services
from assets.models import Asset, AssetResult

if TYPE_CHECKING:
    Inline = admin.TabularInline[AssetResult, Asset]
    AssetModelAdmin = admin.ModelAdmin[Asset]
else:  # Django's own classes take no parameters
    Inline = admin.TabularInline
    AssetModelAdmin = admin.ModelAdmin


class ResultInline(Inline):
    """What was made of an asset: only to be seen."""

    model = AssetResult
    extra = 0
    can_delete = False
    fields = readonly_fields = ("kind", "view", "file", "facts", "job_id", "created_at")

    def has_add_permission(self, request: HttpRequest, obj: Asset | None = None) -> bool:
        """Jobs make results, no one else."""
        return False


@admin.register(Asset)
class AssetAdmin(AssetModelAdmin):
    """Uploaded meshes."""

    list_display = ("name", "owner", "format", "size", "created_at", "inspected_at")
    list_filter = ("format", ("owner", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("owner",)
    search_fields = ("name", "owner__username")
    search_help_text = "Name or owner"
    # Not `autocomplete_fields`, whose widget fails at what is no id.
    raw_id_fields = ("owner",)
    readonly_fields = ("file", "format", "size", "created_at", "facts", "inspected_at", "inspected_by")
    inlines = (ResultInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Assets come by upload, which checks them."""
        return False

    def save_model(self, request: HttpRequest, obj: Asset, form: Any, change: bool) -> None:
        """Give the files to the owner too."""
        super().save_model(request, obj, form, change)
        services.give(asset=obj)

    def delete_model(self, request: HttpRequest, obj: Asset) -> None:
        """Delete the files too."""
        services.remove(asset=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Asset]) -> None:
        """Delete the files too."""
        for asset in queryset:
            services.remove(asset=asset)
