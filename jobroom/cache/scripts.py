"""The Lua scripts of the answers; each is one atomic step on the server. All keys begin with the one they are given.

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

# Milliseconds for which it is remembered what a job leads or waits for; longer than any job may take.
REMEMBERED = 30 * 24 * 3600 * 1000
# Most questions in one bucket of fingerprints.
BUCKET = 1000

_COMMON = f"""
local prefix = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function key(kind, name) return prefix .. kind .. ':' .. name end
local function task_of(question) return string.match(question, '^(.*)|[^|]*$') end
local function tally(what, question, by)
  redis.call('HINCRBY', prefix .. 'tally', what .. '|' .. task_of(question), by)
end
local function drop(question)
  local size = redis.call('HGET', prefix .. 'sizes', question)
  if not size then return 0 end
  redis.call('HDEL', prefix .. 'sizes', question)
  redis.call('ZREM', prefix .. 'due', question)
  redis.call('ZREM', prefix .. 'used', question)
  redis.call('DEL', key('kept', question))
  tally('kept', question, -1)
  tally('bytes', question, -size)
  redis.call('HINCRBY', prefix .. 'tally', 'bytes|', -size)
  return 1
end
local function expire()
  for _, question in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'due', '-inf', now, 'LIMIT', 0, 1000)) do
    drop(question)
  end
end
local function use(question, what)
  local kept = key('kept', question)
  local found = redis.call('HMGET', kept, 'job', 'result', 'at', 'version', 'content', 'files')
  if not found[1] then return nil end
  redis.call('ZADD', prefix .. 'used', now, question)
  tally(what, question, 1)
  return found
end
local function forget(question, job)
  redis.call('ZREM', key('line', question), job)
  redis.call('HDEL', key('waiting', question), job)
  redis.call('DEL', key('of', job))
end
local function remember(question, job) redis.call('SET', key('of', job), question, 'PX', {REMEMBERED}) end
local function close(question)
  local leader = redis.call('HGET', key('flight', question), 'leader')
  if leader then redis.call('DEL', key('of', leader)) end
  redis.call('DEL', key('flight', question), key('line', question), key('waiting', question))
  redis.call('ZREM', prefix .. 'flights', question)
end
local function lead(question, job, entry)
  redis.call('HSET', key('flight', question), 'leader', job, 'since', now, 'entry', entry)
  redis.call('HDEL', key('flight', question), 'end')
  redis.call('ZADD', prefix .. 'flights', now, question)
  remember(question, job)
end
-- A job that somebody does not want any more waits for nothing.
local function is_wanted(job) return redis.call('EXISTS', string.sub(prefix, 1, -9) .. 'cancel:' .. job) == 0 end
local function line(question)
  local found = {{}}
  for _, job in ipairs(redis.call('ZRANGE', key('line', question), 0, -1)) do
    if is_wanted(job) then found[#found + 1] = job else forget(question, job) end
  end
  return found
end
local function entries(question)
  local found = {{}}
  for _, job in ipairs(line(question)) do
    found[#found + 1] = redis.call('HGET', key('waiting', question), job)
  end
  return found
end
"""

# question, job, entry, mode ('' takes a kept answer), own → {'answer', its fields…}, {'lead', '1' if newly}, {'alone'},
# {'join', leader}, or {'elsewhere', question}: the job leads or waits for another one, which it must leave first
CLAIM = (
    _COMMON
    + """
local question, job, entry, mode, own = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local other = redis.call('GET', key('of', job))
if other and other ~= question then return {'elsewhere', other} end
local flight = key('flight', question)
local leader, ended = redis.call('HGET', flight, 'leader'), redis.call('HEXISTS', flight, 'end') == 1
if leader == job and not ended then return {'lead', ''} end
if mode == '' then
  local found = use(question, 'hits')
  if found then
    if leader ~= job then forget(question, job) end
    table.insert(found, 1, 'answer')
    return found
  end
end
if not leader or leader == job then
  lead(question, job, '')
  redis.call('HSET', flight, 'own', own)
  return {'lead', '1'}
end
if mode ~= '' then return {'alone'} end
if redis.call('HSET', key('waiting', question), job, entry) == 1 then tally('joined', question, 1) end
redis.call('ZADD', key('line', question), 'NX', clock[1] * 1000000 + clock[2], job)
remember(question, job)
return {'join', leader}
"""
)

# question, what ('hits', 'near' or '': not counted) → the fields of its answer, empty when none is kept
USE = (
    _COMMON
    + """
if ARGV[2] == '' then return redis.call('HMGET', key('kept', ARGV[1]), 'job', 'result', 'at', 'version', 'content', 'files') end
return use(ARGV[1], ARGV[2]) or {}
"""
)

# question, job, end (JSON), kept ms ('' keeps nothing), most bytes of all, then of the answer: result, version, content,
# files, bits, exact; latest; buckets… → the entries of all who wait for the job
CONCLUDE = (
    _COMMON
    + f"""
local question, job = ARGV[1], ARGV[2]
if ARGV[4] ~= '' then
  local kept = key('kept', question)
  drop(question)
  expire()
  redis.call('DEL', kept)
  redis.call('HSET', kept, 'job', job, 'at', now, 'result', ARGV[6], 'version', ARGV[7], 'content', ARGV[8],
             'files', ARGV[9], 'bits', ARGV[10], 'exact', ARGV[11])
  redis.call('PEXPIRE', kept, ARGV[4])
  -- What Redis itself needs for an answer, roughly.
  local size = 600 + 2 * #question + #ARGV[6] + #ARGV[9] + #ARGV[10]
  redis.call('ZADD', prefix .. 'due', now + ARGV[4], question)
  redis.call('ZADD', prefix .. 'used', now, question)
  redis.call('HSET', prefix .. 'sizes', question, size)
  tally('kept', question, 1)
  tally('bytes', question, size)
  tally('computed', question, 1)
  local sum = redis.call('HINCRBY', prefix .. 'tally', 'bytes|', size)
  while sum > tonumber(ARGV[5]) do
    local oldest = redis.call('ZRANGE', prefix .. 'used', 0, 0)[1]
    if not oldest or oldest == question then break end
    drop(oldest)
    sum = tonumber(redis.call('HGET', prefix .. 'tally', 'bytes|'))
  end
  redis.call('SET', key('latest', ARGV[12]), question, 'PX', ARGV[4])
  for number = 13, #ARGV do
    local bucket = key('band', ARGV[number])
    redis.call('ZADD', bucket, now, question)
    redis.call('ZREMRANGEBYRANK', bucket, 0, -{BUCKET + 1})
    if redis.call('PTTL', bucket) < tonumber(ARGV[4]) then redis.call('PEXPIRE', bucket, ARGV[4]) end
  end
elseif ARGV[6] ~= '' then
  tally('refused', question, 1)
end
if redis.call('HGET', key('flight', question), 'leader') ~= job then return {{}} end
redis.call('HSET', key('flight', question), 'end', ARGV[3])
local found = entries(question)
if #found == 0 then close(question) end
return found
"""
)

# question, job, then jobs that have been given what they waited for → the entries of those who have joined meanwhile
DONE = (
    _COMMON
    + """
local question = ARGV[1]
local flight = redis.call('HMGET', key('flight', question), 'leader', 'end')
if flight[1] ~= ARGV[2] or not flight[2] then return {} end
for number = 3, #ARGV do forget(question, ARGV[number]) end
local found = entries(question)
if #found == 0 then close(question) end
return found
"""
)

# question, job → when the job led: {entry of the next leader, the jobs that wait for that one now…}
LEAVE = (
    _COMMON
    + """
local question, job = ARGV[1], ARGV[2]
local flight = redis.call('HMGET', key('flight', question), 'leader', 'end')
if flight[1] ~= job then
  forget(question, job)
  return {}
end
if flight[2] then return {} end
local others = line(question)
local chosen = table.remove(others, 1)
if not chosen then
  close(question)
  return {}
end
local entry = redis.call('HGET', key('waiting', question), chosen)
redis.call('DEL', key('of', job))
forget(question, chosen)
lead(question, chosen, entry)
table.insert(others, 1, entry)
return others
"""
)

# question → 1 if an answer is gone now
DROP = _COMMON + "return drop(ARGV[1])"

# task ('' is all), made before (ms, '' is any), most (0 only strikes those whose time is over) → how many are gone now
PURGE = (
    _COMMON
    + """
expire()
local gone, start, most = 0, 0, tonumber(ARGV[3])
while gone < most do
  local found = redis.call('ZRANGE', prefix .. 'due', start, start + 499)
  if #found == 0 then break end
  for _, question in ipairs(found) do
    local at = ARGV[2] ~= '' and tonumber(redis.call('HGET', key('kept', question), 'at') or '0')
    local old = not at or at < tonumber(ARGV[2])
    if gone < most and old and (ARGV[1] == '' or task_of(question) == ARGV[1]) then
      gone = gone + drop(question)
    else
      start = start + 1
    end
  end
end
return gone
"""
)
