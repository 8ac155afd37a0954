"""Lookups that find nothing for a whole number that no column holds, as Django's own `exact` of a number does.

Django hands the numbers of an `in`, and those of a relation, to the database as they are. SQLite's driver raises OverflowError
for one of more than 64 bits, and such numbers come with any list of ids that a form, an address or a task is given.
"""

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import BigIntegerField, IntegerField
from django.db.models.fields.related import ForeignObject
from django.db.models.fields.related_lookups import RelatedExact, RelatedIn
from django.db.models.lookups import In

GREATEST = BigIntegerField.MAX_BIGINT


def is_storable(value: object) -> bool:
    """Return whether a column of whole numbers can hold a value; what is no whole number is not judged."""
    return not isinstance(value, int) or -GREATEST - 1 <= value <= GREATEST


class _Storable:
    """Leaves out of the values of an `in` those that no row can have."""

    def get_prep_lookup(self: Any) -> Any:
        """Return the values as the column has them."""
        values = super().get_prep_lookup()  # type: ignore[misc]
        return [value for value in values if is_storable(value)] if isinstance(values, list) else values


class NumberIn(_Storable, In):
    """`in` of a whole number."""


class RelationIn(_Storable, RelatedIn):
    """`in` of a relation."""


class RelationExact(RelatedExact):
    """`exact` of a relation."""

    def process_rhs(self, compiler: Any, connection: Any) -> Any:
        """Return the value for the database; raise EmptyResultSet for one that no row can have."""
        if self.rhs_is_direct_value() and not is_storable(self.rhs):
            raise EmptyResultSet
        return super().process_rhs(compiler, connection)


def connect() -> None:
    """Register them; twice is the same as once."""
    IntegerField.register_lookup(NumberIn)
    ForeignObject.register_lookup(RelationIn)
    ForeignObject.register_lookup(RelationExact)
