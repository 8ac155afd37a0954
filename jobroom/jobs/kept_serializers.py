"""REST serializers that are made once a thread, because making one costs more than using it."""

import threading
from typing import Any

from rest_framework import serializers


class Kept(threading.local):
    """Serializers of one thread: making one again for every answer takes longer than all that it is used for."""

    def __init__(self) -> None:
        self.made: dict[type[serializers.BaseSerializer[Any]], serializers.BaseSerializer[Any]] = {}

    def shown(self, kind: type[serializers.BaseSerializer[Any]], row: Any, **context: Any) -> dict[str, Any]:
        """Return the row as a serializer of that kind shows it."""
        serializer = self.made.get(kind) or self.made.setdefault(kind, kind())
        if not hasattr(serializer, "_context"):  # a release that keeps it elsewhere
            return dict(kind(context=context).to_representation(row))
        serializer._context = context
        try:
            return dict(serializer.to_representation(row))
        finally:
            serializer._context = {}

    def checked(self, kind: type[serializers.BaseSerializer[Any]], data: Any) -> dict[str, Any]:
        """Return the values of what a client sent; raise ValidationError, which names the fields that are wrong."""
        serializer = self.made.get(kind) or self.made.setdefault(kind, kind())
        return dict(serializer.run_validation(data))


kept = Kept()
