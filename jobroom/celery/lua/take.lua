-- KEYS: queue, taken. ARGV: most messages, most bytes. RPOPLPUSH does not copy.
local number, bytes = 0, 0
while number < tonumber(ARGV[1]) and bytes < tonumber(ARGV[2]) do
  local text = redis.call('RPOPLPUSH', KEYS[1], KEYS[2])
  if not text then break end
  number, bytes = number + 1, bytes + #text
end
return number
