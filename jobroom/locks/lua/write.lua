local function write(token, fencing, ttl, since)
  redis.call('HSET', KEYS[1], 'token', token, 'fencing', fencing, 'since', since, 'job', ARGV[4], 'task', ARGV[5],
             'host', ARGV[6], 'pid', ARGV[7])
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('SET', KEYS[2], fencing, 'PX', CONFIG.remembered + ttl)
  redis.call('ZADD', KEYS[4], now + ttl, ARGV[8])
end
