-- KEYS: prefix. ARGV: lease, limit, then ids for the summaries of windows that have ended.
-- @include window
local prefix, now = KEYS[1], clock()
local ended = redis.call('ZRANGEBYSCORE', prefix .. 'windows', '-inf', now, 'LIMIT', 0, #ARGV - 2)
for i, fingerprint in ipairs(ended) do close(prefix, fingerprint, ARGV[i + 2], now) end
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'due', '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))) do
  local text = redis.call('HGET', prefix .. 'box', id)
  if text then
    redis.call('ZADD', prefix .. 'due', now + tonumber(ARGV[1]), id)
    found[#found + 1] = id
    found[#found + 1] = text
  else
    redis.call('ZREM', prefix .. 'due', id)
  end
end
return found
