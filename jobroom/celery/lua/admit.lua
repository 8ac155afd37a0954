-- ARGV: prefix, group, job, most, interval, burst, person, message, now, PARKED, SENT_BEFORE,
-- what it is, key, rate; of a fair queue its list, and messages and bytes that are looked at ahead; name of the header. Returns 1: it may start.
-- @include places look_ahead
local P, group, job, most, interval = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local burst, person, text, now = tonumber(ARGV[6]), ARGV[7], ARGV[8], tonumber(ARGV[9])
local base, list = P .. 'turn:' .. group, ARGV[15]
local function park(id, who, message) park_for(P, group, tonumber(ARGV[10]) + now, id, who, message) end
local function look_ahead()
  put_aside(P, group, list, tonumber(ARGV[10]) + now, tonumber(ARGV[16]), tonumber(ARGV[17]), ARGV[18])
end
redis.call('HSET', base .. ':info', 'most', most, 'task', ARGV[12], 'key', ARGV[13], 'rate', ARGV[14], 'list', list)
redis.call('EXPIRE', base .. ':info', 2592000)
if redis.call('ZSCORE', base .. ':holders', job) then
  if list ~= '' then look_ahead() fill(P, group, most, now, tonumber(ARGV[10])) end
  return 1
end
redis.call('ZREM', base .. ':gone', job)
redis.call('SADD', P .. 'turns', group)
if interval > 0 and redis.call('HDEL', base .. ':due', job) == 0 then
  local next = math.max(tonumber(redis.call('HGET', base .. ':info', 'next') or '0'), now - interval * (burst - 1))
  redis.call('HSET', base .. ':info', 'next', next + interval)
  if next > now then
    redis.call('HSET', base .. ':due', job, next)
    redis.call('EXPIRE', base .. ':due', 2592000)
    redis.call('HSET', P .. 'later:messages', job, text)
    redis.call('ZADD', P .. 'later', next + ARGV[11], job)
    return 0
  end
end
if most == 0 then return 1 end
if redis.call('ZCARD', base .. ':holders') < most and redis.call('ZCARD', base .. ':people') == 0 and (list == '' or redis.call('LLEN', list) == 0) then
  redis.call('ZADD', base .. ':holders', now, job)
  local held = redis.call('HGET', P .. 'turns:held', job)
  redis.call('HSET', P .. 'turns:held', job, held and (held .. '\31' .. group) or group)
  return 1
end
if interval > 0 then redis.call('HSET', base .. ':due', job, now) end
park(job, person, text)
if list ~= '' then look_ahead() end
fill(P, group, most, now, tonumber(ARGV[10]))
return 0
