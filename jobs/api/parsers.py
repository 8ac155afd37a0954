"""Reads JSON bodies, of which only so much and only what every database can hold."""

import io
import math
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


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
            data = super().parse(io.BytesIO(body), media_type, parser_context)
            _check(data)
        except RecursionError as error:
            raise ParseError("JSON parse error: it is nested too deeply.") from error
        return data


def _check(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ParseError("JSON parse error: a number is too large.")
    elif isinstance(value, list):
        for item in value:
            _check(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check(item)


def _check_text(text: str) -> None:
    """Refuse what PostgreSQL does not hold: NUL, and halves of surrogate pairs."""
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ParseError("JSON parse error: a text contains U+0000 or half of a surrogate pair.")
