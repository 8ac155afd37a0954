-- KEYS: stream. ARGV: group, positions.
local ids = {}
local function take_off()
  redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
  redis.call('XDEL', KEYS[1], unpack(ids))
  ids = {}
end
for id in string.gmatch(ARGV[2], '%S+') do
  ids[#ids + 1] = id
  if #ids == 1000 then take_off() end
end
if #ids > 0 then take_off() end
