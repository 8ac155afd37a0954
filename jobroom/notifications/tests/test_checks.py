"""Someone must hear of failures in production."""

import pytest

from jobroom.notifications.checks import admins_are_named


@pytest.mark.parametrize(
    ("admins", "development", "found"),
    [
        ([], False, ["jobroom_notifications.W001"]),
        ([], True, []),
        ([("Ada", "ada@example.org")], False, []),
    ],
)
def test_a_site_that_notifies_no_one_is_warned_of_in_production(settings, admins, development, found):
    settings.ADMINS, settings.DEVELOPMENT = admins, development
    assert [message.id for message in admins_are_named()] == found
