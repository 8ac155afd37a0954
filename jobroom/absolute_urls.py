"""Full addresses of pages, for mails and for code that has no request."""

from django.urls import get_script_prefix

from jobroom.conf import settings


def full(path: str) -> str:
    """Return the address with host of a path that `reverse` made.

    SITE_URL has the path of the site, and `path` has it only in threads that know it.
    """
    return f"{settings.SITE_URL.rstrip('/')}/{path.removeprefix(get_script_prefix())}"
