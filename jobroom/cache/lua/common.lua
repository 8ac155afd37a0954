local prefix = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function key(kind, name) return prefix .. kind .. ':' .. name end
-- Puts a name behind all others of an ordered set. The time alone is no order: two fall into one millisecond, and a clock
-- that was set back would put the newest before the oldest.
local function append(set, name)
  local last = redis.call('ZREVRANGE', set, 0, 0, 'WITHSCORES')[2]
  local score = last and math.max(now, tonumber(last) + 1) or now
  redis.call('ZADD', set, score, name)
end
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
  append(prefix .. 'used', question)
  tally(what, question, 1)
  return found
end
local function forget(question, job)
  redis.call('ZREM', key('line', question), job)
  redis.call('HDEL', key('waiting', question), job)
  redis.call('DEL', key('of', job))
end
local function remember(question, job) redis.call('SET', key('of', job), question, 'PX', CONFIG.remembered) end
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
-- A job that someone does not want any more waits for nothing.
local function is_wanted(job) return redis.call('EXISTS', string.sub(prefix, 1, -9) .. 'cancel:' .. job) == 0 end
local function line(question)
  local found = {}
  for _, job in ipairs(redis.call('ZRANGE', key('line', question), 0, -1)) do
    if is_wanted(job) then found[#found + 1] = job else forget(question, job) end
  end
  return found
end
local function entries(question)
  local found = {}
  for _, job in ipairs(line(question)) do
    found[#found + 1] = redis.call('HGET', key('waiting', question), job)
  end
  return found
end
