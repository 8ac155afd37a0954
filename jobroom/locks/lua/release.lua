-- token, fencing, name → {1, ''} or {0, job of the new holder}
-- @include ownership
local done = ARGV[2] .. ' released'
if not ours and not (not owner and last == done) then return {0, redis.call('HGET', KEYS[1], 'job') or ''} end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[4], ARGV[3])
redis.call('SET', KEYS[2], done, 'PX', CONFIG.remembered)
return {1, ''}
