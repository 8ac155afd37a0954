-- Read by a script, because an answer of thousands of small parts takes its reader longer than all else: their positions
-- and their texts come as one text each. No JSON has the character between them, so a text that has it is none.
-- KEYS: stream. ARGV: group, reader, count.
local found = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], 'STREAMS', KEYS[1], '>')
if not found then return false end
local positions, texts = {}, {}
for i, row in ipairs(found[1][2]) do
  local text = ''
  for n = 1, #row[2], 2 do
    if row[2][n] == 'e' then text = row[2][n + 1] end
  end
  if string.find(text, '\30', 1, true) then text = string.gsub(text, '\30', ' ') .. '\31' end
  positions[i], texts[i] = row[1], text
end
return {table.concat(positions, ' '), table.concat(texts, '\30')}
