"""The Lua scripts of the locks; each is one atomic step in Redis.

Keys: 1 the lock (a hash that expires), 2 the fencing number that its name had last, with what became of it,
3 the counter of fencing numbers, 4 the index of held locks (a sorted set name → expiry in ms).
"""

from jobroom.lua_scripts import source

# Milliseconds for which the last fencing number of a name is remembered after it was used.
REMEMBERED = 24 * 3600 * 1000

TAKE, RENEW, RELEASE, BREAK = (
    source("jobroom.locks", name, {"remembered": REMEMBERED}) for name in ("take", "renew", "release", "break")
)
