-- ARGV: prefix, group, job, message, seconds, at most (0: none), SENT_BEFORE, seconds that a decision is remembered.
-- Returns 1: it may start, or learns when it starts that a later call has taken its place. Else it is kept until its time.
-- @include go
local P, base, job = ARGV[1], ARGV[1] .. 'debounce:' .. ARGV[2], ARGV[3]
local remembered = ARGV[8]
local decision = P .. 'debounced:' .. job
if redis.call('EXISTS', decision) == 1 then return 1 end
local now = seconds()
local function decide(id, by)
  redis.call('SET', P .. 'debounced:' .. id, by, 'EX', remembered)
  redis.call('HDEL', P .. 'debounce:waits', id)
end
local held = redis.call('HGET', base, 'job')
local first, due = now, now + tonumber(ARGV[5])
if held == job then
  first, due = tonumber(redis.call('HGET', base, 'first')), tonumber(redis.call('HGET', base, 'due'))
elseif held then
  first = tonumber(redis.call('HGET', base, 'first'))
  decide(held, job)
  go(P, held, now)
end
if held ~= job and tonumber(ARGV[6]) > 0 then due = math.min(due, first + tonumber(ARGV[6])) end
if due <= now then
  redis.call('DEL', base)
  decide(job, '')
  return 1
end
redis.call('HSET', base, 'job', job, 'first', string.format('%.6f', first), 'due', string.format('%.6f', due))
redis.call('EXPIRE', base, math.ceil(due - now) + 86400)
redis.call('HSET', P .. 'debounce:waits', job, ARGV[2])
keep(P, job, ARGV[4], due + ARGV[7])
return 0
