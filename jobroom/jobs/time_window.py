"""The time window of a list of jobs: a duration back from now, or two moments."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import ClassVar

from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

# What a page offers; an address may name any number of hours or days, such as 36h.
WITHIN = {"1h": "the last hour", "24h": "the last 24 hours", "7d": "the last 7 days", "30d": "the last 30 days"}
_UNITS = {"h": "hours", "d": "days"}
_LONGEST = 4000


@dataclasses.dataclass(frozen=True)
class Window:
    """As the address has it; what makes no sense there is ignored."""

    names: ClassVar[tuple[str, ...]] = ("within", "since", "until")
    within: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def read(cls, query: Mapping[str, object]) -> "Window":
        """Return the window of an address; the zone of a moment without one is that of the person."""
        within = str(query.get("within", "")).strip()
        known = within if _length(within) else ""
        return cls(
            known,
            *(text if _moment(text) else "" for text in (str(query.get(n, "")).strip() for n in ("since", "until"))),
        )

    @cached_property
    def condition(self) -> Q:
        """What the launch of a job has to be; nothing where no window is asked for."""
        found = Q()
        if length := _length(self.within):
            found &= Q(created_at__gte=timezone.now() - length)
        if since := _moment(self.since):
            found &= Q(created_at__gte=since)
        if until := _moment(self.until):
            found &= Q(created_at__lt=until)
        return found

    @property
    def words(self) -> list[tuple[str, str]]:
        """The moments that are asked for, each with its name, as a person reads them."""
        moments = {"since": _moment(self.since), "until": _moment(self.until)}
        shown = [(n, f"{timezone.localtime(at):%Y-%m-%d %H:%M}") for n, at in moments.items() if at]
        return shown + ([("within", self.within)] if self.within and self.within not in WITHIN else [])

    @property
    def since_field(self) -> str:
        """The moment from which on, as a field of a form has it."""
        return _field(self.since)

    @property
    def until_field(self) -> str:
        """The moment before which, as a field of a form has it."""
        return _field(self.until)


def _field(text: str) -> str:
    at = _moment(text)
    return f"{timezone.localtime(at):%Y-%m-%dT%H:%M}" if at else ""


def _length(text: str) -> timedelta | None:
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()) or not 0 < int(number[:6]) <= _LONGEST:
        return None
    return timedelta(**{_UNITS[unit]: int(number[:6])})


def _moment(text: str) -> datetime | None:
    """Return the moment that a text names, None for none; without a zone it is in that of the person who asks."""
    try:
        found = parse_datetime(text.replace(" ", "+") if "T" in text else text)
        if found is None or not 1900 < found.year < 9000:
            return None
        return timezone.make_aware(found) if timezone.is_naive(found) else found
    except (ValueError, OverflowError):
        return None
