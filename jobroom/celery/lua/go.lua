-- Sends what is kept for later now: to the end of its list that is taken next, or by the process that looks what is due. `P` is the prefix.
local function go(P, job, now)
  local text = redis.call('HGET', P .. 'later:messages', job)
  if not text then return end
  local message = cjson.decode(text)
  if message.list then
    redis.call('RPUSH', message.list, message.raw)
    redis.call('HDEL', P .. 'later:messages', job)
    redis.call('ZREM', P .. 'later', job)
  else
    redis.call('ZADD', P .. 'later', now, job)
  end
end
local function keep(P, job, text, score)
  redis.call('HSET', P .. 'later:messages', job, text)
  redis.call('ZADD', P .. 'later', score, job)
end
local function seconds()
  local clock = redis.call('TIME')
  return clock[1] + clock[2] / 1000000
end
