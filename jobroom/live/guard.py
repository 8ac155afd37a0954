"""Rechecks the rights of open sockets: at once where something changed, and all of them from time to time."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, Protocol

from django.db import DatabaseError

from jobroom.live.conf import settings

logger = logging.getLogger(__name__)


class Socket(Protocol):
    """What is looked at."""

    @property
    def person(self) -> int | None:
        """The id of its user."""

    @property
    def session(self) -> str:
        """The digest of its session's key, "" without one."""

    async def recheck(self) -> None:
        """Ask for session and rights as they are now, and end what is not allowed any more."""

    async def end(self) -> None:
        """Close it: its session has ended."""


class Guard:
    """Knows the open sockets of one event loop."""

    def __init__(self) -> None:
        self.sockets: set[Socket] = set()
        self._asked = asyncio.Event()
        self._people: set[int | None] = set()
        self._ended: set[str] = set()

    def number_of(self, person: int | None) -> int:
        """Return how many sockets a person has open here."""
        return sum(socket.person == person for socket in self.sockets)

    def notify(self, text: str) -> None:
        """Take a message of `jobroom.live.access`."""
        event = json.loads(text)
        if event.get("type") != "access":
            return
        self._people.add(event.get("user"))
        if event.get("session"):
            self._ended.add(str(event["session"]))
        self._asked.set()

    def ask_all(self) -> None:
        """Have everyone looked at: what was published meanwhile is not known."""
        self._people.add(None)
        self._asked.set()

    async def run(self, wanted: Callable[[], bool]) -> None:
        """Look at sockets until cancelled, or not `wanted` any more: sockets without topics get nothing anyway."""
        while wanted():
            everyone = False
            try:
                async with asyncio.timeout(settings.RECHECK_INTERVAL):
                    await self._asked.wait()
            except TimeoutError:
                everyone = True
            self._asked.clear()
            people, self._people = self._people, set()
            ended, self._ended = self._ended, set()
            for socket in list(self.sockets):
                if not wanted():
                    return
                if socket.session in ended:
                    await socket.end()
                elif everyone or None in people or socket.person in people:
                    await self._look(socket)

    async def _look(self, socket: Any) -> None:
        """Look at one; what fails for it is tried again with the next round, and stops none of the others."""
        try:
            await socket.recheck()
        except (DatabaseError, OSError) as error:
            logger.warning("The rights of an open socket could not be looked at: %s", error)
