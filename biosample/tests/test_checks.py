"""What the system checks say about the options."""

import pytest

from biosample import checks
from biosample.conf import settings as options


def test_the_defaults_are_fine():
    assert checks.addresses() + checks.account() == []
    assert options.USI_URL == "https://submission-test.ebi.ac.uk"


@pytest.mark.parametrize(
    "address", ["submission.ebi.ac.uk", "ftp://ebi.ac.uk", "https://", "https://me:pw@ebi.ac.uk", ""]
)
def test_an_address_that_is_none_is_named(settings, address):
    settings.BIOSAMPLE_USI_URL = address
    (error,) = checks.addresses()
    assert error.id == "biosample.E001"
    assert "USI_URL" in error.msg
    assert "pw" not in f"{error.msg}{error.hint}"


def test_an_unencrypted_address_is_named_but_not_on_this_machine(settings):
    settings.BIOSAMPLE_USI_URL = "http://127.0.0.1:8080"
    settings.BIOSAMPLE_USI_AUTH_URL = "http://explore.api.aai.ebi.ac.uk/auth"
    (warning,) = checks.addresses()
    assert (warning.id, "USI_AUTH_URL is not encrypted" in warning.msg) == ("biosample.W001", True)


@pytest.mark.parametrize(("user", "password", "missing"), [("me", "", "USI_PASSWORD"), ("", "pw", "USI_USER")])
def test_half_an_account_is_named(settings, user, password, missing):
    settings.BIOSAMPLE_USI_USER, settings.BIOSAMPLE_USI_PASSWORD = user, password
    (warning,) = checks.account()
    assert (warning.id, warning.msg.startswith(missing)) == ("biosample.W002", True)
