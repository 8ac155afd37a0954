-- The engine of workflows keeps the broker's own text, with the list it goes to. In one step. ARGV: job, message, list, text.
-- @include later claimed
redis.call('LPUSH', ARGV[3], ARGV[4])
forget(ARGV[1])
