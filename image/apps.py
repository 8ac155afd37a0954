"""The admin under our own title; nothing else about it is changed."""

from django.contrib.admin.apps import AdminConfig


class ImageAdminConfig(AdminConfig):
    """Make `image.admin.ImageAdminSite` the site that every app registers with."""

    default_site = "image.admin.ImageAdminSite"

    def ready(self) -> None:
        """Register the checks of this installation."""
        from image import checks

        super().ready()
        checks.connect()
