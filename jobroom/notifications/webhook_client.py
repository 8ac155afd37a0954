"""Posts to an address that a person gave: never to this machine or to the network around it, whatever its name says.

The name is resolved once, each of its addresses must be a public one, and the connection goes to the very address that was looked at, so
that a name cannot point elsewhere a moment later. Redirects are not followed.
"""

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from jobroom.notifications.exceptions import WrongAddress

# Seconds for each step of the conversation, and bytes of an answer that are read.
PATIENCE, READ = 10.0, 1000
LONGEST = 2000
# Addresses of IPv6 in whose last part a gateway finds one of IPv4.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def check(address: str) -> SplitResult:
    """Return the parts of an address to which something may be posted; raise WrongAddress, which says what helps."""
    if len(address) > LONGEST or any(ord(char) <= 32 or ord(char) == 127 for char in address):
        raise WrongAddress("Give an address without spaces, of at most 2,000 characters.")
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise WrongAddress("Give an address such as https://example.org/hook.") from error
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
        raise WrongAddress("Give an address that begins with https://, without a name and password in it.")
    if port not in (None, 443, 8443):
        raise WrongAddress("Give an address with the port 443 or 8443, or without one.")
    return parts


def public_addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host; raise WrongAddress where one of them is not public, OSError where there is none."""
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for text in found:
        ip = ipaddress.ip_address(text.partition("%")[0])
        mapped = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
        if ip in _NAT64:
            mapped = ipaddress.ip_address(int(ip) & 0xFFFFFFFF)
        if any(not one.is_global or one.is_multicast or one.is_reserved for one in (ip, mapped) if one is not None):
            raise WrongAddress(f"{host} is an address inside a network, to which nothing is posted: give a public one.")
    return found


class _Pinned(http.client.HTTPSConnection):
    """Speaks to one address that was looked at, under the name of its host."""

    def __init__(self, host: str, port: int, ip: str) -> None:
        self._context_of_ours = ssl.create_default_context()
        super().__init__(host, port, timeout=PATIENCE, context=self._context_of_ours)
        self._ip = ip

    def connect(self) -> None:
        """Connect to the address, and have the host prove its name."""
        plain = socket.create_connection((self._ip, self.port), self.timeout)
        self.sock = self._context_of_ours.wrap_socket(plain, server_hostname=self.host)


def post(address: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Post to an address; return the status of the answer. Raises WrongAddress and OSError, also for broken answers."""
    parts = check(address)
    host, port = str(parts.hostname), parts.port or 443
    connection = _Pinned(host, port, public_addresses(host, port)[0])
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", path, body, {**headers, "User-Agent": "Jobroom"})
        answer = connection.getresponse()
        answer.read(READ)
    except http.client.HTTPException as error:
        raise OSError(f"The answer cannot be read: {type(error).__name__}") from error
    finally:
        connection.close()
    return answer.status
