-- ARGV: until when is due, until when it is claimed, most.
-- @include later
local found = {}
for _, job in ipairs(redis.call('ZRANGE', later, '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[3])) do
  local text = redis.call('HGET', messages, job)
  if text then
    redis.call('ZADD', later, ARGV[2], job)
    found[#found + 1] = job
    found[#found + 1] = text
  else
    forget(job)
  end
end
return found
