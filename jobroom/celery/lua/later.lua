-- What every script begins with. KEYS of all: later, its messages, the groups of jobs that are parked, all groups.
-- A job waits for its time or is parked, never both: `leave` takes it out of its group. `forget` takes it out of all.
local later, messages, groups, parked = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local function leave(job)
  local group = redis.call('HGET', groups, job)
  if not group then return end
  redis.call('HDEL', groups, job)
  redis.call('SREM', parked .. ':' .. group, job)
  if redis.call('EXISTS', parked .. ':' .. group) == 0 then redis.call('SREM', parked, group) end
end
local function forget(job)
  redis.call('ZREM', later, job)
  redis.call('HDEL', messages, job)
  leave(job)
end
