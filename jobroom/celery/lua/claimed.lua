-- Whether the job still has the message that was claimed: another one may have taken its place, or a worker may have got
-- it and put it aside meanwhile. ARGV: job, message.
if redis.call('HGET', messages, ARGV[1]) ~= ARGV[2] or redis.call('HEXISTS', groups, ARGV[1]) == 1 then return end
