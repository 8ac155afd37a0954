"""Celery's own settings are what the decision about each of them says."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from image.celery import app
from jobroom.conf import settings as options

PAGE = Path(settings.BASE_DIR) / "docs/decisions/0083-celerys-own-settings.md"
VALUES = {"on": True, "off": False, "`fork`": "fork"}
# An option of the command line, and one that settings for RabbitMQ alone have.
NOT_HERE = {"--concurrency", "write_timeout"}


def rows():
    """Return each setting of the table with the value that is written there."""
    found = []
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            names, values, _ = (cell.strip() for cell in line.strip("|").split("|", 2))
            names = re.findall(r"`([\w-]+)`", names)
            values = values.split(", ") if ", " in values else [values] * len(names)
            pairs = zip(names, values, strict=True)
            found += [(name, value_of(value)) for name, value in pairs if name not in NOT_HERE]
    return found


def value_of(text):
    return VALUES[text] if text in VALUES else float(text.removesuffix(" s"))


def test_each_setting_has_its_row():
    assert len(rows()) >= 12


@pytest.mark.parametrize(("name", "value"), rows())
def test_a_setting_is_what_its_row_says(name, value):
    if name == "confirm_timeout":
        assert value == options.PUBLISH_TIMEOUT
    elif name.startswith("socket_"):
        assert app.conf.broker_transport_options[name] == value
    else:
        assert app.conf[name] == value
