"""A template tag for the hidden field with the version of the row that a form shows."""

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobroom.web.versions import FIELD, version_of

register = template.Library()


@register.simple_tag
def version_field(row: Any, fields: str) -> SafeString:
    """Return the hidden field with the version of `row`; `fields` are names with commas between."""
    return format_html('<input type="hidden" name="{}" value="{}">', FIELD, version_of(row, fields.split(",")))
