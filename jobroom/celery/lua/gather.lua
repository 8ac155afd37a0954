-- ARGV: prefix, group, job, message, its call as JSON, most, seconds, PARKED, SENT_BEFORE, seconds that the group is remembered.
-- Returns 1: it may start, as the one that runs its batch or with the answer of the one that has. Else it waits.
-- @include go
local P, group, job, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[6])
local base, line = P .. 'batch:' .. ARGV[2], P .. 'batch:' .. ARGV[2] .. ':line'
if redis.call('EXISTS', P .. 'batched:' .. job) == 1 or redis.call('EXISTS', P .. 'batch-run:' .. job) == 1 then return 1 end
local now = seconds()
if redis.call('HEXISTS', P .. 'batch:of', job) == 1 then
  keep(P, job, ARGV[4], ARGV[8] + now)
  return 0
end
if redis.call('HGET', P .. 'batch:waits', job) ~= group then
  redis.call('RPUSH', line, job)
  redis.call('HSET', P .. 'batch:waits', job, group)
end
redis.call('HSET', P .. 'batch:calls', job, ARGV[5])
redis.call('SADD', P .. 'batch:groups', group)
local function due_for(id)
  local due = string.format('%.6f', now + tonumber(ARGV[7]))
  redis.call('HSET', base, 'due', due, 'first', id)
  redis.call('EXPIRE', base, ARGV[10])
  return due
end
local due = tonumber(redis.call('HGET', base, 'due') or due_for(job))
if redis.call('LLEN', line) < most and now < due then
  keep(P, job, ARGV[4], redis.call('HGET', base, 'first') == job and due + ARGV[9] or ARGV[8] + now)
  return 0
end
-- The batch is full, or its time has come: this one runs it, with those that came first.
local run = P .. 'batch-run:' .. job
redis.call('LREM', line, 1, job)
redis.call('HDEL', P .. 'batch:waits', job)
redis.call('RPUSH', run, job)
while redis.call('LLEN', run) < most do
  local other = redis.call('LPOP', line)
  if not other then break end
  redis.call('HDEL', P .. 'batch:waits', other)
  local score = redis.call('ZSCORE', P .. 'later', other)
  if score and redis.call('HEXISTS', P .. 'batch:calls', other) == 1 then
    redis.call('RPUSH', run, other)
    redis.call('HSET', P .. 'batch:of', other, job)
    redis.call('ZADD', P .. 'later', ARGV[8] + now, other)
  end
end
redis.call('SADD', P .. 'batch:running', job)
redis.call('DEL', base)
local next = redis.call('LINDEX', line, 0)
if next then redis.call('ZADD', P .. 'later', 'XX', due_for(next) + ARGV[9], next)
else redis.call('SREM', P .. 'batch:groups', group) end
return 1
