"""Lists of Django's admin whose address has a value that does not fit its column."""

import logging
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.db import DataError
from django.http import HttpRequest

logger = logging.getLogger(__name__)


class CheckedLookupsAdmin(ModelAdmin):  # type: ignore[type-arg]
    """Shows the whole list instead, as Django does for values that a form field refuses.

    Others it finds out about from the column or from the database: text for a duration or for bytes, a number of more than 64 bits.
    """

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return the list; raise IncorrectLookupParameters, at which Django shows it without parameters."""
        try:
            return super().get_changelist_instance(request)
        except (AttributeError, TypeError, OverflowError, DataError) as error:
            if not set(request.GET) - {ERROR_FLAG}:
                raise  # no value of the address is to blame
            logger.warning("The list at %s is shown without parameters: %s", request.get_full_path()[:200], error)
            raise IncorrectLookupParameters(str(error)) from error
