-- Hands places to those who wait. `P` is the prefix of all keys.
local function id_of(raw)
  local fine, message = pcall(cjson.decode, raw)
  local headers = fine and type(message) == 'table' and message.headers
  return type(headers) == 'table' and type(headers.id) == 'string' and headers.id or nil
end
-- Whether whatever lies in a list had its turn already: the one that came last had it. On a fair queue that is the rule
-- while all others wait person by person, and saves a look at each.
local function all_had_their_turn(base, list)
  local raw = redis.call('LINDEX', list, 0)
  local id = raw and id_of(raw)
  return not raw or id and (redis.call('ZSCORE', base .. ':holders', id) or redis.call('ZSCORE', base .. ':gone', id)) and true
end
-- Behind those that have their turn already, in front of all others. Who had a turn and lost it unrun, such as by a cancel, may
-- stand among them still: what stands behind must not fall back because of that.
local function put(base, list, picked)
  if all_had_their_turn(base, list) then
    for _, raw in ipairs(picked) do redis.call('LPUSH', list, raw) end
    return
  end
  local before = {}
  while true do
    local raw = redis.call('RPOP', list)
    if not raw then break end
    local id = id_of(raw)
    if not id or not (redis.call('ZSCORE', base .. ':holders', id) or redis.call('ZSCORE', base .. ':gone', id)) then
      redis.call('RPUSH', list, raw)
      break
    end
    before[#before + 1] = raw
  end
  for at = #picked, 1, -1 do redis.call('RPUSH', list, picked[at]) end
  for at = #before, 1, -1 do redis.call('RPUSH', list, before[at]) end
end
local function fill(P, group, most, now, parked)
  local base, lists = P .. 'turn:' .. group, {}
  while redis.call('ZCARD', base .. ':holders') < most do
    local who = redis.call('ZRANGE', base .. ':people', 0, 0)[1]
    if not who then break end
    local of = base .. ':of:' .. who
    local job = redis.call('LPOP', of)
    if redis.call('LLEN', of) == 0 then redis.call('ZREM', base .. ':people', who)
    else redis.call('ZADD', base .. ':people', redis.call('HINCRBY', base .. ':info', 'turn', 1), who) end
    if job and redis.call('HGET', P .. 'turns:parked', job) == group then
      redis.call('HDEL', P .. 'turns:parked', job)
      local text = redis.call('HGET', P .. 'later:messages', job)
      local score = tonumber(redis.call('ZSCORE', P .. 'later', job))
      if text and score and score >= parked then
        redis.call('ZADD', base .. ':holders', now, job)
        local held = redis.call('HGET', P .. 'turns:held', job)
        redis.call('HSET', P .. 'turns:held', job, held and (held .. '\31' .. group) or group)
        local message = cjson.decode(text)
        if message.list then
          lists[message.list] = lists[message.list] or {}
          table.insert(lists[message.list], message.raw)
          redis.call('HDEL', P .. 'later:messages', job)
          redis.call('ZREM', P .. 'later', job)
        else
          redis.call('ZADD', P .. 'later', now, job)
        end
      end
    end
  end
  for list, picked in pairs(lists) do put(base, list, picked) end
  if redis.call('ZCARD', base .. ':holders') == 0 and redis.call('ZCARD', base .. ':people') == 0 then
    redis.call('SREM', P .. 'turns', group)
  end
end
