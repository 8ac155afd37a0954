-- KEYS: prefix. ARGV: run, mail id, mail, fingerprint, job, burst, window, summary id, lease, reported, jobs named.
-- @include window
local prefix, fingerprint, now = KEYS[1], ARGV[4], clock()
if ARGV[1] ~= '' and not redis.call('SET', prefix .. 'reported:' .. ARGV[1], ARGV[2], 'NX', 'EX', ARGV[10]) then
  return 'reported'
end
local group, windows = prefix .. 'group:' .. fingerprint, prefix .. 'windows'
local ends = redis.call('ZSCORE', windows, fingerprint)
if ends and tonumber(ends) <= now then
  close(prefix, fingerprint, ARGV[8], now)
  ends = nil
end
if not ends then
  redis.call('ZADD', windows, now + tonumber(ARGV[7]), fingerprint)
  redis.call('HSET', group, 'first', tostring(now), 'sample', ARGV[3])
end
redis.call('HSET', group, 'last', tostring(now))
if redis.call('HINCRBY', group, 'count', 1) > tonumber(ARGV[6]) then
  if redis.call('HINCRBY', group, 'held', 1) <= tonumber(ARGV[11]) then
    redis.call('RPUSH', prefix .. 'jobs:' .. fingerprint, ARGV[5])
  end
  return 'grouped'
end
redis.call('HSET', prefix .. 'box', ARGV[2], ARGV[3])
redis.call('ZADD', prefix .. 'due', now + tonumber(ARGV[9]), ARGV[2])
return 'send'
