"""What the tests of workers share."""

import pytest

from jobroom.tasks import failure_mail
from jobroom.workers import probes, rescue


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """Take no server for silent, no mail for stuck and no round for old because the machine has other work for a moment."""
    monkeypatch.setattr(rescue, "LONGEST", 60.0)
    monkeypatch.setattr(probes, "PATIENCE", 60.0)
    monkeypatch.setattr(failure_mail, "PATIENCE", 60.0)
