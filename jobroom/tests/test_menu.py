"""The menu: who finds what in it, and which entry a page belongs to."""

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, User

from jobroom.ui import menu
from jobroom.ui.menu import DATA, SYSTEM, Entry

STAFF = User(username="eve", is_staff=True)
ADA = User(username="ada")


@pytest.fixture
def entries(monkeypatch):
    """Only what the test says is in the menu."""

    def say(*found):
        for config in apps.get_app_configs():
            monkeypatch.setattr(config, "menu", (), raising=False)
        monkeypatch.setattr(apps.get_app_config("jobroom"), "menu", found)

    return say


def shown(user, path="/"):
    return {group.name: [link.label for link in group.links] for group in menu.groups(user, path)}


def test_groups_come_in_their_order_and_entries_in_theirs(entries):
    entries(
        Entry("Zoo", "login", group=DATA, order=1),
        Entry("Admin", "admin:index", group=SYSTEM),
        Entry("Bees", "login", group=DATA),
        Entry("Ants", "login", group=DATA),
        Entry("Front", "login"),
    )
    found = menu.groups(STAFF, "/")
    assert [group.name for group in found] == ["", DATA, SYSTEM]
    assert shown(STAFF)[DATA] == ["Zoo", "Ants", "Bees"]


def test_what_is_for_staff_no_one_else_finds(entries):
    entries(Entry("Front", "login"), Entry("Admin", "admin:index", group=SYSTEM, staff=True))
    assert shown(ADA) == shown(AnonymousUser()) == {"": ["Front"]}
    assert shown(STAFF) == {"": ["Front"], SYSTEM: ["Admin"]}


def test_a_page_that_the_project_does_not_serve_is_left_out(entries):
    entries(Entry("Front", "login"), Entry("Moon", "moon:craters", group=DATA))
    assert shown(STAFF) == {"": ["Front"]}


@pytest.mark.parametrize(
    ("path", "current"),
    [
        ("/", ["Overview"]),
        ("/jobs/", ["Jobs"]),
        ("/jobs/0b7e/", ["Jobs"]),
        ("/workflows/decisions/", ["Workflows"]),
        ("/calendars/", ["Schedules"]),
        ("/calendars/7/", ["Schedules"]),
        ("/admin/", ["Admin"]),
        ("/schedules/3/", ["Schedules"]),
        ("/admin/django_celery_beat/periodictask/3/", ["Admin"]),
        ("/nowhere/", []),
    ],
)
def test_a_page_belongs_to_the_nearest_entry(path, current):
    found = menu.groups(STAFF, path)
    assert [link.label for group in found for link in group.links if link.current] == current
    assert [group.current for group in found] == [any(link.current for link in group.links) for group in found]


def test_addresses_follow_the_language_where_a_project_has_it_in_them(monkeypatch):
    """As `i18n_patterns` does; each address is looked up once."""
    asked = []
    monkeypatch.setattr(menu, "reverse", lambda name, urlconf: asked.append(name) or f"/{spoken}/{name}/")
    monkeypatch.setattr(menu, "get_language", lambda: spoken)
    for spoken in ("de", "fr", "de"):
        assert menu._addresses("scratch:menu") == (f"/{spoken}/scratch:menu/",)
    assert len(asked) == 2
