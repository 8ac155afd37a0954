"""What the API says about the versions of the spam model."""

from typing import Any

from rest_framework import serializers

from text.models import SpamModel


class SpamModelSerializer(serializers.ModelSerializer[SpamModel]):
    """One version of the spam model."""

    created_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True)
    promoted_by = serializers.SlugRelatedField[Any](slug_field="username", read_only=True)
    job = serializers.CharField(source="job_id", read_only=True, help_text="The job that trained it; may be empty.")
    url = serializers.CharField(source="get_absolute_url", read_only=True, help_text="Its page.")

    class Meta:
        model = SpamModel
        fields = (
            *("version", "state", "created_at", "created_by", "job", "promoted_at", "promoted_by", "verdict", "note"),
            *("sha256", "size", "data_name", "data_sha256", "data_rows", "counts", "libraries", "parameters"),
            *("folds", "mean", "held_out", "url"),
        )
        read_only_fields = fields
