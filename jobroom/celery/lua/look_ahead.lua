-- Parks a job of a group behind the others of its person; `score` is its place among what waits for later.
local function park_for(P, group, score, id, who, message)
  local base = P .. 'turn:' .. group
  redis.call('HSET', P .. 'later:messages', id, message)
  redis.call('ZADD', P .. 'later', score, id)
  redis.call('HSET', P .. 'turns:parked', id, group)
  redis.call('RPUSH', base .. ':of:' .. who, id)
  if not redis.call('ZSCORE', base .. ':people', who) then
    redis.call('ZADD', base .. ':people', tonumber(redis.call('HGET', base .. ':info', 'turn') or '0'), who)
  end
end
-- Looks ahead: what lies in the list is put aside person by person, so that no one's turn hides behind another's thousands.
-- Needs `places`. What has its turn already, what is for later, and what is no message that we understand stays where it is.
local function put_aside(P, group, list, score, messages, bytes, header)
  local base, kept, seen, read = P .. 'turn:' .. group, {}, 0, 0
  if all_had_their_turn(base, list) then return end
  while seen < messages and read < bytes do
    local raw = redis.call('RPOP', list)
    if not raw then break end
    seen, read = seen + 1, read + #raw
    local fine, message = pcall(cjson.decode, raw)
    local headers = fine and type(message) == 'table' and message.headers
    local id = type(headers) == 'table' and headers.id
    if type(id) ~= 'string' or type(headers.eta) == 'string' or redis.call('ZSCORE', base .. ':holders', id) then
      kept[#kept + 1] = raw
    else
      local who = headers[header] or headers.owner
      who = (type(who) == 'string' or type(who) == 'number') and tostring(who) or ''
      park_for(P, group, score, id, who, cjson.encode({list = list, raw = raw}))
    end
  end
  for at = #kept, 1, -1 do redis.call('RPUSH', list, kept[at]) end
end
