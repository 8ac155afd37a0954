-- token, fencing, ttl ms, job, task, host, pid, name, since ms → {1, ''} or {0, job of the new holder}
-- @include clock write ownership
if not ours then return {0, redis.call('HGET', KEYS[1], 'job') or ''} end
if owner then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('PEXPIRE', KEYS[2], CONFIG.remembered + ARGV[3])
  redis.call('ZADD', KEYS[4], now + ARGV[3], ARGV[8])
else
  if (tonumber(redis.call('GET', KEYS[3])) or 0) < tonumber(ARGV[2]) then redis.call('SET', KEYS[3], ARGV[2]) end
  write(ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[9])
end
return {1, ''}
