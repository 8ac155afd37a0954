"""Failure mails wait in Redis until one is in the database: none is lost when the process that should hand it in dies.

This is a transport and no store: what lies here is on its way into the table of mails, and leaves when it is there.

| key              | holds                                                                        |
|------------------|------------------------------------------------------------------------------|
| `mail:reported:<id>` | the failure of one run of a job was reported; expires                    |
| `mail:box`       | hash: mail id → the mail as JSON                                             |
| `mail:due`       | sorted set: mail id → when someone else may take the mail over              |
| `mail:windows`   | sorted set: fingerprint → when its window ends                               |
| `mail:group:<f>` | hash: count, held, first, last and a sample of the mails of one fingerprint  |
| `mail:jobs:<f>`  | list: the first jobs whose mail was held back                                |

A mail in the box is either `{"kind": "mail", …}` as it was put there, or `{"kind": "summary", "count", "held", "first",
"last", "jobs", "sample"}`: a window that has ended, with all that was held back in it.
"""

import json
import uuid
from typing import Any

from jobroom import redis
from jobroom.conf import settings
from jobroom.lua_scripts import source

# Seconds that the sender of a mail has before housekeeping takes it over. Longer than a slow mail server needs.
LEASE = 60.0
# Seconds for which the failure of one run counts as reported; the second report comes within a few seconds.
REPORTED_FOR = 3600
# Most job ids that a summary names.
JOBS_NAMED = 50

Mail = dict[str, Any]

_ADMIT, _TAKE = source("jobroom.tasks", "admit"), source("jobroom.tasks", "take")


def _run(source: str, *arguments: Any) -> Any:
    """Run a script; every key begins with the prefix, so it is the one key that the script is given."""
    return redis.script(source)([redis.key("mail", "")], arguments, client=redis.client())


def new_id() -> str:
    """Return the id of a new mail."""
    return uuid.uuid4().hex


def admit(mail: Mail, run: str) -> str:
    """Decide what becomes of `mail` about a failure of `run`, and put it into the box or its group in the same step.

    Args:
        mail: has at least `id`, `job` and `fingerprint`, all text.
        run: names one run of the job in the same way in every process; empty when that is unknown.

    Returns:
        `send`: the caller sends it and calls `done`; `grouped`: a summary will name it; `reported`: it was reported already.

    """
    return str(
        _run(
            _ADMIT,
            *(run, mail["id"], json.dumps({**mail, "kind": "mail"}), mail["fingerprint"], mail["job"] or ""),
            *(settings.FAILURE_MAIL_BURST, settings.FAILURE_MAIL_WINDOW, new_id(), LEASE, REPORTED_FOR, JOBS_NAMED),
        )
    )


def done(mail_id: str) -> None:
    """Remove a mail that was sent, or that the database has taken over."""
    with redis.client().pipeline() as pipe:
        pipe.hdel(redis.key("mail", "box"), mail_id)
        pipe.zrem(redis.key("mail", "due"), mail_id)
        pipe.execute()


def anything_due() -> bool:
    """Return whether `take` would find something."""
    client = redis.client()
    now = redis.now(client)
    with client.pipeline(transaction=False) as pipe:
        pipe.zcount(redis.key("mail", "due"), "-inf", now)
        pipe.zcount(redis.key("mail", "windows"), "-inf", now)
        return any(pipe.execute())


def take(limit: int = 20) -> list[Mail]:
    """Return mails that their sender left behind and summaries of ended windows; call `done` for each when it is safe.

    A mail that is taken and not `done` is due again after the lease.
    """
    found = _run(_TAKE, LEASE, limit, *(new_id() for _ in range(limit)))
    mails = []
    for mail_id, text in zip(found[::2], found[1::2], strict=True):
        mail = {**json.loads(text), "id": mail_id}
        if mail["kind"] == "summary":
            mail["sample"] = json.loads(mail["sample"])
            mail["jobs"] = list(mail["jobs"])  # Lua writes an empty list as an object
        mails.append(mail)
    return mails
