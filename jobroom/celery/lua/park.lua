-- In one step with the question whether the group is still held: what is put aside after its end, no one would let go on.
-- The fifth key is the hash of groups that are held. ARGV: job, message, score, group.
-- @include later
if redis.call('HEXISTS', KEYS[5], ARGV[4]) == 0 then return 0 end
leave(ARGV[1])
-- Behind all that wait already: clocks of machines differ, and are set back.
local last = redis.call('ZREVRANGE', later, 0, 0, 'WITHSCORES')[2]
redis.call('HSET', messages, ARGV[1], ARGV[2])
redis.call('ZADD', later, math.max(ARGV[3], last and last + 0.001 or 0), ARGV[1])
redis.call('HSET', groups, ARGV[1], ARGV[4])
redis.call('SADD', parked .. ':' .. ARGV[4], ARGV[1])
redis.call('SADD', parked, ARGV[4])
return 1
