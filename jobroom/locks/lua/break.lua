-- Key 5 is the audit stream. name, by, reason → the fields of the broken lock, empty when it was free
-- @include clock
local held = redis.call('HGETALL', KEYS[1])
if #held == 0 then return held end
local entry = {'name', ARGV[1], 'by', ARGV[2], 'reason', ARGV[3], 'at', now}
for i = 1, #held, 2 do
  if held[i] ~= 'token' then table.insert(entry, held[i]); table.insert(entry, held[i + 1]) end
end
local left = redis.call('PTTL', KEYS[1])
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('SET', KEYS[2], 'broken', 'PX', CONFIG.remembered)
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 10000, '*', unpack(entry))
table.insert(held, 'left')
table.insert(held, left)
return held
