"""The Lua scripts of the locks; each is one atomic step on the server.

Keys: 1 the lock (a hash that expires), 2 the fencing number that its name had last, with what became of it,
3 the counter of fencing numbers, 4 the index of held locks (a sorted set name → expiry in ms).
"""

# Milliseconds for which the last fencing number of a name is remembered after it was used.
REMEMBERED = 24 * 3600 * 1000

_CLOCK = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""

# A lock is its owner's while the hash carries the owner's token, and also when the hash is gone but nobody else has had
# the name since: then only the key was lost (Redis was emptied, or away for longer than the time to live).
_OWN = """
local owner = redis.call('HGET', KEYS[1], 'token')
local last = redis.call('GET', KEYS[2])
local ours = owner == ARGV[1] or (not owner and (not last or last == ARGV[2]))
"""

_WRITE = f"""
local function write(token, fencing, ttl, since)
  redis.call('HSET', KEYS[1], 'token', token, 'fencing', fencing, 'since', since, 'job', ARGV[4], 'task', ARGV[5],
             'host', ARGV[6], 'pid', ARGV[7])
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('SET', KEYS[2], fencing, 'PX', {REMEMBERED} + ttl)
  redis.call('ZADD', KEYS[4], now + ttl, ARGV[8])
end
"""

# The number is the server's time in microseconds, or one more than the last: it grows also when Redis was emptied, as no
# server grants a lock in less. It stays below 2^53, so that every language reads it exactly.
# token, -, ttl ms, job, task, host, pid, name → {1, fencing, now} or {0, job of the holder, now}
TAKE = (
    _CLOCK
    + _WRITE
    + """
local owner = redis.call('HMGET', KEYS[1], 'token', 'fencing', 'job')
if owner[1] == ARGV[1] then return {1, owner[2], now} end
if owner[1] then return {0, owner[3] or '', now} end
local fencing = string.format('%.0f', math.max((tonumber(redis.call('GET', KEYS[3])) or 0) + 1, clock[1] * 1000000 + clock[2]))
redis.call('SET', KEYS[3], fencing)
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
write(ARGV[1], fencing, tonumber(ARGV[3]), now)
return {1, fencing, now}
"""
)

# token, fencing, ttl ms, job, task, host, pid, name, since ms → {1, ''} or {0, job of the new holder}
KEEP = (
    _CLOCK
    + _WRITE
    + _OWN
    + f"""
if not ours then return {{0, redis.call('HGET', KEYS[1], 'job') or ''}} end
if owner then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('PEXPIRE', KEYS[2], {REMEMBERED} + ARGV[3])
  redis.call('ZADD', KEYS[4], now + ARGV[3], ARGV[8])
else
  if (tonumber(redis.call('GET', KEYS[3])) or 0) < tonumber(ARGV[2]) then redis.call('SET', KEYS[3], ARGV[2]) end
  write(ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[9])
end
return {{1, ''}}
"""
)

# token, fencing, name → {1, ''} or {0, job of the new holder}
GIVE = (
    _OWN
    + f"""
local done = ARGV[2] .. ' released'
if not ours and not (not owner and last == done) then return {{0, redis.call('HGET', KEYS[1], 'job') or ''}} end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[4], ARGV[3])
redis.call('SET', KEYS[2], done, 'PX', {REMEMBERED})
return {{1, ''}}
"""
)

# Key 5 is the audit stream. name, by, reason → the fields of the broken lock, empty when it was free
BREAK = (
    _CLOCK
    + f"""
local held = redis.call('HGETALL', KEYS[1])
if #held == 0 then return held end
local entry = {{'name', ARGV[1], 'by', ARGV[2], 'reason', ARGV[3], 'at', now}}
for i = 1, #held, 2 do
  if held[i] ~= 'token' then table.insert(entry, held[i]); table.insert(entry, held[i + 1]) end
end
local left = redis.call('PTTL', KEYS[1])
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('SET', KEYS[2], 'broken', 'PX', {REMEMBERED})
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 10000, '*', unpack(entry))
table.insert(held, 'left')
table.insert(held, left)
return held
"""
)
