"""The resources that are declared, by name."""

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jobroom.resources.exceptions import UnknownResource

if TYPE_CHECKING:
    from jobroom.resources.declaration import Resource

# All resources of this process by name, also those that it never loads.
declared: "dict[str, Resource[Any]]" = {}


def find(name: str) -> "Resource[Any]":
    """Return the declared resource; raise UnknownResource with the nearest name."""
    if name in declared:
        return declared[name]
    raise UnknownResource(f"There is no resource {name}. {suggestion(name)}")


def suggestion(name: str) -> str:
    """Return "Did you mean …?" for a name that is not declared."""
    close = difflib.get_close_matches(name, declared, n=1)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(sorted(declared)) or 'none'}."


def served_by(queues: Sequence[str]) -> "list[Resource[Any]]":
    """Return the resources that a worker of `queues` holds, in the order of their declaration."""
    return [made for made in declared.values() if set(made.queues) & set(queues)]
