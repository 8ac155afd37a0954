-- KEYS: queue, taken. ARGV: index, the message, what marks it.
if redis.call('LINDEX', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('LSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('LREM', KEYS[1], -1, ARGV[3])
redis.call('LPUSH', KEYS[2], ARGV[2])
return 1
