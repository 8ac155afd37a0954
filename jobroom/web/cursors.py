"""Where a page of a list begins stands in its address: the page before has written it there, or it is refused."""

from collections.abc import Mapping

from django.core.exceptions import BadRequest

# What every database takes for a whole number.
GREATEST = 2**63 - 1
REMEDY = "Take it from `next` of the page before, as it is."


class WrongCursor(BadRequest):
    """The address begins at a place that no page of the list has given. Begin with the first page."""

    def __init__(self, name: str) -> None:
        super().__init__(type(self).__doc__)
        self.name = name


def number(query: Mapping[str, str], name: str) -> int | None:
    """Return the whole number from 1 on that stands in an address, None for none.

    One that is greater than all there are is none the less a place: the list may have become shorter. Raises WrongCursor.
    """
    text = str(query.get(name, ""))
    if not text:
        return None
    found = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    if not 0 < found <= GREATEST:
        raise WrongCursor(name)
    return found
