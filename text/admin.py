"""The versions of the spam model for the staff: to look at, and to write a note."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest

from text.models import SpamModel

if TYPE_CHECKING:
    SpamModelAdminBase = admin.ModelAdmin[SpamModel]
else:  # Django's own classes take no parameters
    SpamModelAdminBase = admin.ModelAdmin


@admin.register(SpamModel)
class SpamModelAdmin(SpamModelAdminBase):
    """Versions of the spam model; their own page promotes them."""

    list_display = ("version", "state", "f1", "held_out_f1", "data_name", "data_rows", "created_at", "created_by")
    list_filter = ("state",)
    list_select_related = ("created_by",)
    search_fields = ("data_name", "note", "job_id", "sha256", "data_sha256")
    fields = (
        *("version", "state", "note", "verdict", "created_at", "created_by", "job_id", "promoted_at", "promoted_by"),
        *("file", "sha256", "size", "data_name", "data_sha256", "data_rows", "counts", "libraries", "parameters"),
        *("folds", "mean", "held_out"),
    )
    readonly_fields = tuple(name for name in fields if name != "note")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Versions come by training."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: SpamModel | None = None) -> bool:
        """A version stays, so that results can always be traced to what made them."""
        return False
