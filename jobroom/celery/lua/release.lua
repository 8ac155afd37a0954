-- ARGV: prefix, now, PARKED, messages and bytes of a fair queue that are looked at ahead, name of the header, whether they ended
-- otherwise than by their run (1, 0), jobs …. Gives back all places of the jobs; returns how many had some. What ended otherwise
-- may lie in its list still.
-- @include places look_ahead
local P, now, found = ARGV[1], tonumber(ARGV[2]), 0
for at = 8, #ARGV do
  local held = redis.call('HGET', P .. 'turns:held', ARGV[at])
  if held then
    found = found + 1
    redis.call('HDEL', P .. 'turns:held', ARGV[at])
    for group in string.gmatch(held, '[^\31]+') do
      local base = P .. 'turn:' .. group
      redis.call('ZREM', base .. ':holders', ARGV[at])
      if ARGV[7] == '1' then
        redis.call('ZADD', base .. ':gone', now, ARGV[at])
        redis.call('ZREMRANGEBYRANK', base .. ':gone', 0, -1001)
        redis.call('EXPIRE', base .. ':gone', 86400)
      end
      local most, list = unpack(redis.call('HMGET', base .. ':info', 'most', 'list'))
      if list and list ~= '' then
        put_aside(P, group, list, tonumber(ARGV[3]) + now, tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6])
      end
      fill(P, group, tonumber(most or '1'), now, tonumber(ARGV[3]))
    end
  end
end
return found
