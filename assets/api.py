"""Assets over REST: list and upload, show and delete."""

from rest_framework.generics import ListCreateAPIView, RetrieveDestroyAPIView
from rest_framework.parsers import FormParser, MultiPartParser

from assets import services
from assets.models import Asset
from assets.querysets import AssetQuerySet
from assets.serializers import AssetSerializer
from jobroom.jobs.api.pagination import NumberedCursor


class NewestFirst(NumberedCursor):
    """Pages of assets, newest first, never counted."""

    ordering = "-id"


class AssetList(ListCreateAPIView[Asset]):
    """The assets that the caller may see; a POST of `file` and `name` (multipart) uploads one."""

    serializer_class = AssetSerializer
    parser_classes = (MultiPartParser, FormParser)
    pagination_class = NewestFirst

    def get_queryset(self) -> AssetQuerySet:
        """Return what the caller may see."""
        return _visible(self)


class AssetDetail(RetrieveDestroyAPIView[Asset]):
    """One asset with its results; 404 for who may not see it."""

    serializer_class = AssetSerializer

    def get_queryset(self) -> AssetQuerySet:
        """Return what the caller may see."""
        return _visible(self)

    def perform_destroy(self, instance: Asset) -> None:
        """Delete it with its files."""
        services.remove(asset=instance)


def _visible(view: AssetList | AssetDetail) -> AssetQuerySet:
    rows = Asset.objects.visible_to(view.request.user)
    return rows.select_related("owner", "file").prefetch_related("results__file")
