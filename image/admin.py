"""The staff's admin site."""

from django.contrib.admin import AdminSite


class ImageAdminSite(AdminSite):
    """Django's own admin with our title."""

    site_title = "Control room"
    site_header = "Control room administration"
    index_title = "Administration"
