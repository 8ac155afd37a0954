"""Options fall through to Django's settings, and misspelt ones are found."""

import ast
from pathlib import Path

from django.conf import global_settings
from django.test import override_settings

import jobroom
from assets.conf import AssetSettings
from jobroom import checks
from jobroom.conf import AppSettings, CommonSettings, settings
from jobroom.live.conf import LiveSettings


def test_a_default_is_used_when_nothing_is_set():
    assert settings.LOCK_TTL == 30.0


@override_settings(JOBROOM={"LOCK_TTL": 5.0})
def test_a_setting_wins_at_call_time():
    assert settings.LOCK_TTL == 5.0


def test_an_unknown_option_is_an_attribute_error():
    assert not hasattr(settings, "LOCK_TTTL")


def test_names_carry_the_prefix_of_their_app():
    assert "LOCK_TTL" in CommonSettings.names()
    assert all(name.startswith("LIVE_") for name in LiveSettings.names())
    assert "ASSETS_MAX_BYTES" in AssetSettings.names()
    assert issubclass(CommonSettings, AppSettings)


def test_what_is_not_said_is_found_in_the_project():
    """The Redis is the broker's, the queue is Celery's default one."""
    with override_settings(JOBROOM={}):
        assert settings.QUEUES == ["default"]
        assert settings.REDIS_URL.startswith("redis://")


def test_something_that_is_no_dictionary_is_an_error_and_all_defaults_hold():
    with override_settings(JOBROOM=["LOCK_TTL"]):
        (message,) = checks.misspelt_settings()
        assert (message.id, settings.LOCK_TTL) == ("jobroom.E004", 30.0)


@override_settings(ASSETS_MAX_BITES=5)
def test_a_misspelt_setting_of_a_domain_app_gets_a_suggestion():
    (message,) = checks.misspelt_settings()
    assert message.hint == "Did you mean ASSETS_MAX_BYTES?"


@override_settings(JOBROOM={"LOCK_TLL": 5.0})
def test_a_misspelt_setting_gets_a_suggestion():
    (message,) = checks.misspelt_settings()
    assert message.id == "jobroom.W001"
    assert message.hint == "Did you mean LOCK_TTL?"


def test_our_own_settings_are_all_known():
    assert checks.misspelt_settings() == []


def taken_for_granted(path):
    """Return settings that a module reads as attributes of Django's settings, and that Django itself has no default for."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    imported = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "django.conf"]
    called = {a.asname or a.name for node in imported for a in node.names if a.name == "settings"}
    read = [node for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) in called]
    given = {*vars(global_settings), "SETTINGS_MODULE", "ROOT_URLCONF"}  # no project runs without these two
    return [f"{path.name}:{node.lineno} {node.attr}" for node in read if node.attr.isupper() and node.attr not in given]


def test_no_setting_is_taken_for_granted_that_a_project_need_not_have():
    """A fresh project has no CELERY_BEAT_SCHEDULE: to read it as an attribute broke the page that sets a schedule there."""
    files = [path for path in Path(jobroom.__file__).parent.rglob("*.py") if not {"tests", "testing"} & set(path.parts)]
    assert [found for path in files for found in taken_for_granted(path)] == []
