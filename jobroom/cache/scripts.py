"""The Lua scripts of the result cache; each is one atomic step in Redis. All keys begin with the one they are given.

| key             | holds                                                                                               |
|-----------------|-----------------------------------------------------------------------------------------------------|
| `kept:<q>`      | hash: the answer to the question `q`: job, result, at, version, content, files, bits, exact; expires |
| `due`, `used`   | sorted sets: question → when its answer expires, when it was used last (ms)                         |
| `sizes`         | hash: question → bytes of its answer                                                                |
| `tally`         | hash: `<what>|<task>` → kept, bytes, computed, hits, near, joined, refused; `bytes|` is the sum     |
| `band:<…>`      | sorted set: questions whose fingerprints share a band, by time; expires                             |
| `latest:<…>`    | the question under which the latest answer to a content is kept, whatever its version; expires       |
| `flight:<q>`    | hash: leader (the job that computes), since (ms), own, entry (of a leader that followed), end (JSON) |
| `line:<q>`      | sorted set: jobs that wait for it, in order                                                         |
| `waiting:<q>`   | hash: job → its entry (JSON), see `jobroom.cache.handoff`                                           |
| `flights`       | sorted set: questions in flight, by since                                                            |
| `of:<job>`      | the question that the job leads or waits for; expires                                               |
"""

from jobroom.lua_scripts import source

# Milliseconds for which it is remembered what a job leads or waits for; longer than any job may take.
REMEMBERED = 30 * 24 * 3600 * 1000
# Most questions in one bucket of fingerprints.
BUCKET = 1000
_CONFIG = {"remembered": REMEMBERED, "bucket": BUCKET}

CLAIM, USE, CONCLUDE, DONE, LEAVE, DROP, PURGE = (
    source("jobroom.cache", name, _CONFIG) for name in ("claim", "use", "conclude", "done", "leave", "drop", "purge")
)
