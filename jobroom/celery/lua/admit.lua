-- ARGV: prefix, group, job, most, interval, burst, person, message, now, PARKED, SENT_BEFORE,
-- what it is, key, rate; of a fair queue its list, and messages and bytes that are looked at ahead; name of the header. Returns 1: it may start.
-- @include places
local P, group, job, most, interval = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local burst, person, text, now = tonumber(ARGV[6]), ARGV[7], ARGV[8], tonumber(ARGV[9])
local base, list = P .. 'turn:' .. group, ARGV[15]
local function park(id, who, message)
  redis.call('HSET', P .. 'later:messages', id, message)
  redis.call('ZADD', P .. 'later', ARGV[10] + now, id)
  redis.call('HSET', P .. 'turns:parked', id, group)
  redis.call('RPUSH', base .. ':of:' .. who, id)
  if not redis.call('ZSCORE', base .. ':people', who) then
    redis.call('ZADD', base .. ':people', tonumber(redis.call('HGET', base .. ':info', 'turn') or '0'), who)
  end
end
-- Looks ahead: what lies in the list is put aside person by person, so that no one's turn hides behind another's thousands.
-- What has its turn already, what is for later, and what is no message that we understand stays where it is.
local function look_ahead()
  local kept, seen, bytes = {}, 0, 0
  while seen < tonumber(ARGV[16]) and bytes < tonumber(ARGV[17]) do
    local raw = redis.call('RPOP', list)
    if not raw then break end
    seen, bytes = seen + 1, bytes + #raw
    local fine, message = pcall(cjson.decode, raw)
    local headers = fine and type(message) == 'table' and message.headers
    local id = type(headers) == 'table' and headers.id
    if type(id) ~= 'string' or type(headers.eta) == 'string' or redis.call('ZSCORE', base .. ':holders', id) then
      kept[#kept + 1] = raw
    else
      local who = headers[ARGV[18]] or headers.owner
      who = (type(who) == 'string' or type(who) == 'number') and tostring(who) or ''
      park(id, who, cjson.encode({list = list, raw = raw}))
    end
  end
  for at = #kept, 1, -1 do redis.call('RPUSH', list, kept[at]) end
end
if redis.call('ZSCORE', base .. ':holders', job) then
  if list ~= '' then look_ahead() fill(P, group, most, now, tonumber(ARGV[10])) end
  return 1
end
redis.call('SADD', P .. 'turns', group)
redis.call('HSET', base .. ':info', 'most', most, 'task', ARGV[12], 'key', ARGV[13], 'rate', ARGV[14])
redis.call('EXPIRE', base .. ':info', 2592000)
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
