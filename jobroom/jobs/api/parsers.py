"""Parses JSON bodies, within bounds, and refuses what no database can hold."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from jobroom.arguments.storable import parse


class BoundedJSONParser(JSONParser):
    """JSON of at most DATA_UPLOAD_MAX_MEMORY_SIZE bytes, which the framework's own parser does not look at."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the data; raise RequestDataTooBig or ParseError."""
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0
        body = stream.read(most + 1)
        if len(body) > most:
            raise RequestDataTooBig
        try:
            return parse(body.decode())
        except ValueError as error:  # also what is no UTF-8
            raise ParseError(f"JSON parse error: {error}") from error
