"""Leases in Redis: a piece of housekeeping that only one process at a time should do, such as a round over all workers.

A turn is a key that expires, with a token of its holder. It is ended by a script that compares the token first: who was
slower than the turn lasts must not end the turn of the next one. Where the work itself must not overlap, use a lock
(`jobroom.locks`), which is renewed while it is held and has fencing numbers.
"""

import contextlib
import secrets
from collections.abc import Iterator

from jobroom import redis
from jobroom.lua_scripts import source

_END = source("jobroom", "end_turn")


def take(client: redis.Client, key: str, token: str, seconds: float) -> bool:
    """Return whether it is the turn of `token` now, for so many seconds at most."""
    return bool(client.set(key, token, nx=True, px=max(1, int(seconds * 1000))))


def end(client: redis.Client, key: str, token: str, pause: float = 0) -> bool:
    """End the turn of `token`, so that the next one begins after `pause` seconds; return False if it was over already."""
    return bool(redis.script(_END)([key], [token, max(0, int(pause * 1000))], client=client))


@contextlib.contextmanager
def turn(client: redis.Client, key: str, seconds: float) -> Iterator[bool]:
    """Yield whether it is this caller's turn, for so many seconds at most, and end it afterwards."""
    token = secrets.token_hex(8)
    mine = take(client, key, token, seconds)
    try:
        yield mine
    finally:
        if mine:
            end(client, key, token)
