"""What the tests of this app share."""

import pytest
from django.contrib.auth import get_user_model

from biosample.models import Submission
from biosample.tests.usi_server import PASSWORD, USER, UsiServer


@pytest.fixture
def usi_server(settings, monkeypatch):
    """A local USI that the settings point at, with time-outs that suit it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with UsiServer() as server:
        settings.BIOSAMPLE_USI_URL = server.url
        settings.BIOSAMPLE_USI_AUTH_URL = server.auth_url
        settings.BIOSAMPLE_USI_USER = USER
        settings.BIOSAMPLE_USI_PASSWORD = PASSWORD
        settings.BIOSAMPLE_USI_PAUSE = 0.01
        settings.BIOSAMPLE_USI_PAUSE_LIMIT = 0.5
        yield server


@pytest.fixture
def owner(db):
    """The owner of submissions."""
    return get_user_model().objects.create_user("olga", "olga@example.org")


@pytest.fixture
def make_submission(owner):
    """Make a submitted submission; keyword arguments are its fields."""

    def make(name="sub-1", **fields):
        records = fields.pop("records", [])
        changed_at = fields.pop("changed_at", None)
        submission = Submission.objects.create(**{"owner": owner, "title": f"Goats {name}", "usi_name": name, **fields})
        for alias in records:
            submission.records.create(alias=alias)
        submission.submit()
        if changed_at:
            Submission.objects.filter(pk=submission.pk).update(changed_at=changed_at)
            submission.refresh_from_db()
        return submission

    return make
