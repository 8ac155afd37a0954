-- The number is the server's time in microseconds, or one more than the last: it grows also when Redis was emptied, as no
-- server grants a lock in less. It stays below 2^53, so that every language reads it exactly.
-- token, -, ttl ms, job, task, host, pid, name → {1, fencing, now} or {0, job of the holder, now}
-- @include clock write
local owner = redis.call('HMGET', KEYS[1], 'token', 'fencing', 'job')
if owner[1] == ARGV[1] then return {1, owner[2], now} end
if owner[1] then return {0, owner[3] or '', now} end
local fencing = string.format('%.0f', math.max((tonumber(redis.call('GET', KEYS[3])) or 0) + 1, clock[1] * 1000000 + clock[2]))
redis.call('SET', KEYS[3], fencing)
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
write(ARGV[1], fencing, tonumber(ARGV[3]), now)
return {1, fencing, now}
