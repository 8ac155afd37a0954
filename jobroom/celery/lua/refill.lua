-- ARGV: prefix, now, PARKED, group. Hands places on that stand empty; forgets a group that no one needs any more.
-- @include places
local base = ARGV[1] .. 'turn:' .. ARGV[4] .. ':'
local most = tonumber(redis.call('HGET', base .. 'info', 'most') or '1')
if most > 0 then fill(ARGV[1], ARGV[4], most, tonumber(ARGV[2]), tonumber(ARGV[3]))
elseif tonumber(redis.call('HGET', base .. 'info', 'next') or '0') < tonumber(ARGV[2]) then
  redis.call('SREM', ARGV[1] .. 'turns', ARGV[4])
end
