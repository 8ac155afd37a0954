"""The tasks of the torture suite, on the site's own app."""

from typing import Any

from image.celery import app
from tests.torture import behaviour

__all__ = ["app"]


@app.task(bind=True, name="torture.nasty")
def nasty(self: Any, saying: str, how: str, what: str, given: Any = None) -> Any:
    return behaviour.run(self, saying, how, what)


@app.task(bind=True, name="torture.nasty_late", acks_late=True)
def nasty_late(self: Any, saying: str, how: str, what: str, given: Any = None) -> Any:
    return behaviour.run(self, saying, how, what)


@app.task(name="torture.good", acks_late=True)
def good(number: int) -> int:
    return number * 2
