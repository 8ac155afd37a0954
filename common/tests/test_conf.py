"""Options fall through to Django's settings, and misspelt ones are found."""

from django.test import override_settings

from common import checks
from common.conf import AppSettings, CommonSettings, settings


def test_a_default_is_used_when_nothing_is_set():
    assert settings.LOCK_TTL == 30.0


@override_settings(COMMON_LOCK_TTL=5.0)
def test_a_setting_wins_at_call_time():
    assert settings.LOCK_TTL == 5.0


def test_an_unknown_option_is_an_attribute_error():
    assert not hasattr(settings, "LOCK_TTTL")


def test_names_carry_the_prefix():
    assert "COMMON_LOCK_TTL" in CommonSettings.names()
    assert all(name.startswith("COMMON_") for name in CommonSettings.names())
    assert issubclass(CommonSettings, AppSettings)


@override_settings(COMMON_LOCK_TLL=5.0)
def test_a_misspelt_setting_gets_a_suggestion():
    (message,) = checks.misspelt_settings()
    assert message.id == "common.W001"
    assert message.hint == "Did you mean COMMON_LOCK_TTL?"


def test_our_own_settings_are_all_known():
    assert checks.misspelt_settings() == []
