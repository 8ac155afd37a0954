-- ARGV: prefix. Lets batches begin whose time has come, and whose first call is not wanted any more.
-- @include go
local P, now = ARGV[1], seconds()
for _, group in ipairs(redis.call('SMEMBERS', P .. 'batch:groups')) do
  local base = P .. 'batch:' .. group
  local first = redis.call('LINDEX', base .. ':line', 0)
  if not first then
    redis.call('SREM', P .. 'batch:groups', group)
    redis.call('DEL', base)
  elseif now >= tonumber(redis.call('HGET', base, 'due') or '0') then
    go(P, first, now)
  end
end
