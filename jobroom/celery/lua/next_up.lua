-- ARGV: prefix, job, now, PARKED; of a fair queue its group and list, messages and bytes that are looked at ahead, name of the header.
-- Puts a job that waits for its turn before all others of its group; returns the group, or nothing.
-- @include places look_ahead
local P, job, now = ARGV[1], ARGV[2], tonumber(ARGV[3])
if ARGV[5] ~= '' and not redis.call('HGET', P .. 'turns:parked', job) then
  put_aside(P, ARGV[5], ARGV[6], tonumber(ARGV[4]) + now, tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9])
end
local group = redis.call('HGET', P .. 'turns:parked', job)
if not group then return false end
local base = P .. 'turn:' .. group
for _, who in ipairs(redis.call('ZRANGE', base .. ':people', 0, -1)) do
  if redis.call('LREM', base .. ':of:' .. who, 1, job) == 1 then
    redis.call('LPUSH', base .. ':of:' .. who, job)
    local first = redis.call('ZRANGE', base .. ':people', 0, 0, 'WITHSCORES')
    if first[1] ~= who then redis.call('ZADD', base .. ':people', tonumber(first[2]) - 1, who) end
    fill(P, group, tonumber(redis.call('HGET', base .. ':info', 'most') or '1'), now, tonumber(ARGV[4]))
    return group
  end
end
return false
