"""The menu: each app names its entries in its `AppConfig`.

    class AssetsConfig(AppConfig):
        menu = (Entry("Assets", "assets:assets", group=DATA),)

Entries without a group stand in the bar, the others below the word of their group; so a new app makes the bar no longer.
"""

import dataclasses
import functools
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from django.apps import apps
from django.conf import settings
from django.urls import NoReverseMatch, get_script_prefix, get_urlconf, reverse
from django.utils.translation import get_language

if TYPE_CHECKING:
    # Apps name their entries before there are models.
    from django.contrib.auth.models import AnonymousUser

    from jobroom.users import User

# The groups, in their order.
BAR = ""
DATA = "Data"
SYSTEM = "System"
GROUPS = (BAR, DATA, SYSTEM)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One page in the menu; `order` sorts within its group, then the label does."""

    label: str
    url: str  # the name of its address
    group: str = BAR
    order: int = 100
    staff: bool = False  # whether it is for staff alone
    also: tuple[str, ...] = ()  # names of other addresses that belong to it


class Link(NamedTuple):
    """An entry as one page shows it."""

    label: str
    address: str
    current: bool  # whether the page belongs to it
    front: bool = False  # whether it leads where the brand does


class Group(NamedTuple):
    """The links of one group."""

    name: str
    links: list[Link]

    @property
    def current(self) -> bool:
        """Whether the page belongs to one of the links."""
        return any(link.current for link in self.links)


def groups(user: "User | AnonymousUser", path: str) -> list[Group]:
    """Return what `user` finds in the menu of the page at `path`; groups without a link are left out."""
    found = [
        (entry, address)
        for entry in _entries()
        if user.is_staff or not entry.staff
        for address in _addresses(entry.url)
    ]
    # The page of a job belongs to the list of jobs, and nothing but the front page to the front page.
    belongs = [
        (at, address)
        for entry, address in found
        for at in [address, *(other for name in entry.also for other in _addresses(name))]
        if path == at or (path.startswith(at) and at != get_script_prefix())
    ]
    near = max(belongs, key=lambda each: len(each[0]), default=("", ""))[1]
    return [
        Group(
            name,
            [Link(entry.label, address, address == near, address == get_script_prefix()) for entry, address in members],
        )
        for name, members in groupby(found, key=lambda each: each[0].group)
    ]


def _entries() -> list[Entry]:
    found = [entry for config in apps.get_app_configs() for entry in getattr(config, "menu", ())]
    return sorted(found, key=lambda entry: (GROUPS.index(entry.group), entry.order, entry.label))


def _addresses(name: str) -> tuple[str, ...]:
    """Return the address of that name, or nothing where the project does not serve that page."""
    return _looked_up(name, get_urlconf() or settings.ROOT_URLCONF, get_script_prefix(), get_language())


@functools.lru_cache(maxsize=1024)
def _looked_up(name: str, urlconf: str, prefix: str, language: str | None) -> tuple[str, ...]:
    """Look an address up once: every page shows all of them. `prefix` and, in `i18n_patterns`, `language` are parts of it."""
    try:
        return (reverse(name, urlconf=urlconf),)
    except NoReverseMatch:
        return ()
