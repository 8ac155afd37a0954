"""Failure mails on their way, in Redis: nothing is lost when the process that should send one dies first.

| key              | holds                                                                        |
|------------------|------------------------------------------------------------------------------|
| `mail:told:<id>` | the failure of one run of a job was told; expires                            |
| `mail:box`       | hash: mail id → the mail as JSON                                             |
| `mail:due`       | sorted set: mail id → when somebody else may take the mail over              |
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

# Seconds that the sender of a mail has before housekeeping takes it over. Longer than a slow mail server needs.
LEASE = 60.0
# Seconds for which the failure of one run counts as told; the second teller comes within a few seconds.
TOLD = 3600
# Most job ids that a summary names.
JOBS_NAMED = 50

Mail = dict[str, Any]

# Moves a window that has ended into the box, if it held anything back.
_CLOSE = """
local function close(prefix, fingerprint, id, now)
  local group, jobs = prefix .. 'group:' .. fingerprint, prefix .. 'jobs:' .. fingerprint
  local held = tonumber(redis.call('HGET', group, 'held') or '0')
  if held > 0 then
    local function field(name) return redis.call('HGET', group, name) end
    local named = redis.call('LRANGE', jobs, 0, -1)
    local text = cjson.encode({kind = 'summary', fingerprint = fingerprint, count = tonumber(field('count')),
      held = held, first = tonumber(field('first')), last = tonumber(field('last')), jobs = named,
      sample = field('sample')})
    redis.call('HSET', prefix .. 'box', id, text)
    redis.call('ZADD', prefix .. 'due', now, id)
  end
  redis.call('DEL', group, jobs)
  redis.call('ZREM', prefix .. 'windows', fingerprint)
end
local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end
"""

# KEYS: prefix. ARGV: run, mail id, mail, fingerprint, job, burst, window, summary id, lease, told, jobs named.
_ADMIT = (
    _CLOSE
    + """
local prefix, fingerprint, now = KEYS[1], ARGV[4], clock()
if ARGV[1] ~= '' and not redis.call('SET', prefix .. 'told:' .. ARGV[1], ARGV[2], 'NX', 'EX', ARGV[10]) then
  return 'told'
end
local group, windows = prefix .. 'group:' .. fingerprint, prefix .. 'windows'
local ends = redis.call('ZSCORE', windows, fingerprint)
if ends and tonumber(ends) <= now then
  close(prefix, fingerprint, ARGV[8], now)
  ends = nil
end
if not ends then
  redis.call('ZADD', windows, now + tonumber(ARGV[7]), fingerprint)
  redis.call('HSET', group, 'first', tostring(now), 'sample', ARGV[3])
end
redis.call('HSET', group, 'last', tostring(now))
if redis.call('HINCRBY', group, 'count', 1) > tonumber(ARGV[6]) then
  if redis.call('HINCRBY', group, 'held', 1) <= tonumber(ARGV[11]) then
    redis.call('RPUSH', prefix .. 'jobs:' .. fingerprint, ARGV[5])
  end
  return 'grouped'
end
redis.call('HSET', prefix .. 'box', ARGV[2], ARGV[3])
redis.call('ZADD', prefix .. 'due', now + tonumber(ARGV[9]), ARGV[2])
return 'send'
"""
)

# KEYS: prefix. ARGV: lease, limit, then ids for the summaries of windows that have ended.
_TAKE = (
    _CLOSE
    + """
local prefix, now = KEYS[1], clock()
local ended = redis.call('ZRANGEBYSCORE', prefix .. 'windows', '-inf', now, 'LIMIT', 0, #ARGV - 2)
for i, fingerprint in ipairs(ended) do close(prefix, fingerprint, ARGV[i + 2], now) end
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'due', '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))) do
  local text = redis.call('HGET', prefix .. 'box', id)
  if text then
    redis.call('ZADD', prefix .. 'due', now + tonumber(ARGV[1]), id)
    found[#found + 1] = id
    found[#found + 1] = text
  else
    redis.call('ZREM', prefix .. 'due', id)
  end
end
return found
"""
)


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
        run: names one run of the job in the same way in every process; empty when nobody knows.

    Returns:
        `send`: the caller sends it and calls `done`; `grouped`: a summary will tell; `told`: somebody told already.

    """
    return str(
        _run(
            _ADMIT,
            *(run, mail["id"], json.dumps({**mail, "kind": "mail"}), mail["fingerprint"], mail["job"] or ""),
            *(settings.FAILURE_MAIL_BURST, settings.FAILURE_MAIL_WINDOW, new_id(), LEASE, TOLD, JOBS_NAMED),
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
