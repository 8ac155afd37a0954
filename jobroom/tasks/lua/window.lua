-- Moves a window that has ended into the box, if it held anything back.
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
