-- ARGV: jobs.
-- @include later
local prefix = string.sub(later, 1, -#'later' - 1)
local turns = prefix .. 'turns:parked'
-- Out of the line for a limit or a fair queue too: whose jobs are all gone is no person who waits.
local function leave_line(job)
  local group = redis.call('HGET', turns, job)
  if not group then return end
  redis.call('HDEL', turns, job)
  local base = prefix .. 'turn:' .. group
  for _, person in ipairs(redis.call('ZRANGE', base .. ':people', 0, -1)) do
    local line = base .. ':of:' .. person
    if redis.call('LREM', line, 1, job) == 1 then
      if redis.call('EXISTS', line) == 0 then redis.call('ZREM', base .. ':people', person) end
      return
    end
  end
end
-- And out of what waits for a last call, or for the others of its batch.
local function leave_batch(job)
  redis.call('HDEL', prefix .. 'debounce:waits', job)
  local group = redis.call('HGET', prefix .. 'batch:waits', job)
  if group then
    redis.call('HDEL', prefix .. 'batch:waits', job)
    redis.call('HDEL', prefix .. 'batch:calls', job)
    redis.call('LREM', prefix .. 'batch:' .. group .. ':line', 1, job)
  end
end
for _, job in ipairs(ARGV) do
  forget(job)
  leave_line(job)
  leave_batch(job)
end
