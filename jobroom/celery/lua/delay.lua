-- ARGV: job, due, message.
-- @include later
leave(ARGV[1])
redis.call('HSET', messages, ARGV[1], ARGV[3])
redis.call('ZADD', later, ARGV[2], ARGV[1])
