"""Chats by Apprise, which is optional (`pip install django-jobroom[alerts]`): services with an address of their own alone.

Apprise knows a hundred services, many of which take the name of a server: with those a rule could reach any machine of the network.
So only those are taken whose server Apprise itself names, and without a query, in which a service may be given a template to fetch.
"""

import importlib.util
from typing import Any

from jobroom.notifications.exceptions import WrongAddress

# Where the extra is not installed, rules say so, and nothing else needs it.
apprise: Any = importlib.import_module("apprise") if importlib.util.find_spec("apprise") else None

# Services whose server no one can choose, or one of their maker's alone: a workflow of Teams has a server for each region.
SERVICES = ("slack", "discord", "tgram", "gchat", "pagerduty", "opsgenie", "pover", "workflows")
SERVERS = {"workflows": (".logic.azure.com", ".api.powerplatform.com")}
LONGEST = 2000


def is_installed() -> bool:
    """Return whether chats can be used."""
    return apprise is not None


def check(address: str) -> None:
    """Raise WrongAddress, which says what helps, for what is no address of such a chat."""
    if apprise is None:
        raise WrongAddress(
            "Chats need the library Apprise: pip install 'django-jobroom[alerts]', for the recorder too."
        )
    scheme = address.partition("://")[0].lower()
    if scheme not in SERVICES or len(address) > LONGEST:
        raise WrongAddress(
            f"Give an address of Apprise that begins with one of {', '.join(f'{s}://' for s in SERVICES)}."
        )
    if "?" in address:
        raise WrongAddress("Give the address without what follows a question mark.")
    service = _made(address)
    if service is None:
        raise WrongAddress("Apprise does not understand this address: see its page about this service.")
    servers = SERVERS.get(scheme)
    if servers and not str(service.host).lower().endswith(servers):
        raise WrongAddress(f"The server of a {scheme}:// address ends with {' or '.join(servers)}.")


def _made(address: str) -> Any:
    service = apprise.Apprise.instantiate(address, suppress_exceptions=True)
    if service is not None:
        service.redirects = False  # a server that someone else runs could name any machine of the network
    return service


def send(address: str, title: str, text: str) -> None:
    """Send to a chat; raise OSError where that did not work, and WrongAddress."""
    check(address)
    service = _made(address)
    if not service.notify(title=title, body=text):
        raise OSError("The chat did not take it; the log of the recorder may say more.")
