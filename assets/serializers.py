"""What the API says and takes about assets."""

from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.urls import reverse
from rest_framework import serializers

from assets import services
from assets.exceptions import Refused
from assets.models import Asset, AssetResult


def _download(item: Asset | AssetResult) -> str:
    return reverse("jobroom:api:file", args=[item.file_id])


class ResultSerializer(serializers.ModelSerializer[AssetResult]):
    """A file that was made of an asset."""

    file = serializers.UUIDField(source="file_id", read_only=True)
    name = serializers.CharField(source="file.name", read_only=True)
    size = serializers.IntegerField(source="file.size", read_only=True, help_text="Bytes.")
    url = serializers.SerializerMethodField(help_text="Where to download it.")
    job = serializers.CharField(source="job_id", read_only=True)

    class Meta:
        model = AssetResult
        fields = ("kind", "view", "file", "name", "size", "url", "facts", "job", "created_at")
        read_only_fields = ("kind", "view", "facts", "created_at")

    def get_url(self, result: AssetResult) -> str:
        """Return the address of the content."""
        return _download(result)


class AssetSerializer(serializers.ModelSerializer[Asset]):
    """An asset; `file` is written, all else but `name` is only read."""

    file = serializers.FileField(write_only=True, allow_empty_file=True, help_text="PLY, OBJ, STL, GLB, OFF or 3MF.")
    name = serializers.CharField(required=False, allow_blank=True, max_length=255, help_text="Default: the file's.")
    owner = serializers.SlugRelatedField[Any](slug_field="username", read_only=True)
    url = serializers.CharField(source="get_absolute_url", read_only=True)
    download = serializers.SerializerMethodField(help_text="Where to download the mesh as it was uploaded.")
    results = ResultSerializer(many=True, read_only=True)

    class Meta:
        model = Asset
        fields = (
            *("id", "name", "file", "format", "size", "owner", "created_at", "url", "download"),
            *("facts", "inspected_at", "results"),
        )
        read_only_fields = ("format", "size", "created_at", "facts", "inspected_at")

    def get_download(self, asset: Asset) -> str:
        """Return the address of the content."""
        return _download(asset)

    def create(self, validated_data: dict[str, Any]) -> Asset:
        """Keep the mesh; a refusal names its field."""
        upload: UploadedFile[Any] = validated_data["file"]
        try:
            owner = self.context["request"].user
            return services.add(upload=upload, name=validated_data.get("name", ""), owner=owner)
        except Refused as refused:
            raise serializers.ValidationError({refused.field: [str(refused)]}) from refused
