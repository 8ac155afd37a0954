"""The OpenAPI description by drf-spectacular, whatever schema class the project's own REST_FRAMEWORK names."""

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema as spectacular_extend_schema

View = TypeVar("View", bound=Callable[..., Any])


def extend_schema(**options: Any) -> Callable[[View], View]:
    """Describe a method of a view as drf-spectacular's `extend_schema` does; `options` are its own.

    That one derives from the project's DEFAULT_SCHEMA_CLASS, which need not be drf-spectacular's.
    """

    def describe(view: View) -> View:
        if not hasattr(view, "schema"):
            view.schema = AutoSchema  # type: ignore[attr-defined]
        described: View = spectacular_extend_schema(**options)(view)
        return described

    return describe
