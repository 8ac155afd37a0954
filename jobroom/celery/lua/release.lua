-- ARGV: prefix, now, PARKED, jobs …. Gives back all places of the jobs; returns how many had some.
-- @include places
local P, now, found = ARGV[1], tonumber(ARGV[2]), 0
for at = 4, #ARGV do
  local held = redis.call('HGET', P .. 'turns:held', ARGV[at])
  if held then
    found = found + 1
    redis.call('HDEL', P .. 'turns:held', ARGV[at])
    for group in string.gmatch(held, '[^\31]+') do
      redis.call('ZREM', P .. 'turn:' .. group .. ':holders', ARGV[at])
      fill(P, group, tonumber(redis.call('HGET', P .. 'turn:' .. group .. ':info', 'most') or '1'), now, tonumber(ARGV[3]))
    end
  end
end
return found
