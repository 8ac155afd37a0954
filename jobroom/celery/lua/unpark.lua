-- They become due in the order in which they came, whatever the clock says that they came by: their scores lie before all times.
-- ARGV: most, PARKED, group.
-- @include later
local jobs = redis.call('SPOP', parked .. ':' .. ARGV[3], ARGV[1])
for _, job in ipairs(jobs) do
  local score = tonumber(redis.call('ZSCORE', later, job))
  if score and score >= tonumber(ARGV[2]) then redis.call('ZADD', later, score - 2 * ARGV[2], job) end
  redis.call('HDEL', groups, job)
end
if redis.call('EXISTS', parked .. ':' .. ARGV[3]) == 0 then redis.call('SREM', parked, ARGV[3]) end
return #jobs
