-- ARGV: prefix, the job that ran the batch, seconds that an answer is remembered, then an answer for each of the others, or one for
-- all; without any they wait for another batch. Returns how many went on.
-- @include go
local P, leader = ARGV[1], ARGV[2]
local run = P .. 'batch-run:' .. leader
local now = seconds()
local jobs = redis.call('LRANGE', run, 1, -1)
-- From the last on: each goes before the ones that are there.
for at = #jobs, 1, -1 do
  local job = jobs[at]
  redis.call('HDEL', P .. 'batch:of', job)
  local answer = ARGV[3 + at] or ARGV[4]
  if answer then
    redis.call('SET', P .. 'batched:' .. job, answer, 'EX', ARGV[3])
    redis.call('HDEL', P .. 'batch:calls', job)
  end
  go(P, job, now)
end
redis.call('HDEL', P .. 'batch:calls', leader)
redis.call('SREM', P .. 'batch:running', leader)
redis.call('DEL', run)
return #jobs
