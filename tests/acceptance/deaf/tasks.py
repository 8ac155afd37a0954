"""Tasks for `test_clients`: one that never looks whether it is cancelled, one that waits for a listener,
and one that reads and makes files."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from image.celery import app
from jobroom import redis
from jobroom.tasks import File


@app.task(name="deaf.work")
def work(secs: float) -> None:
    """Go on whatever happens."""
    time.sleep(secs)


@app.task(bind=True, name="deaf.heard")
def heard(self: Any) -> None:
    """Report something when someone listens."""
    while not redis.client().exists("deaf:listens"):
        time.sleep(0.05)
    self.log("info", "one")
    self.progress(1, 2)


@app.task(bind=True, name="deaf.shout")
def shout(self: Any, text: File) -> str:
    """Attach the text in capitals."""
    with TemporaryDirectory() as folder:
        made = Path(folder) / "made.txt"
        made.write_text(text.path.read_text().upper())
        self.attach(made, "loud.txt")
    return text.name
