-- Sends jobs of a fan-out. ARGV: index, number of all items, place of the first here, then the items as JSON.
-- @include base step gather
local index, count, first = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if call('HGET', S, index) ~= STATE.EXPANDING then return outcome() end
local known = call('HGET', W .. ':x', 'm' .. index)
if not known then
  call('HSET', W .. ':x', 'm' .. index, count)
  emit(false, '{"type":"workflow","job":null,"at":' .. now() .. ',"workflow":"' .. wid .. '","epoch":' .. about('epoch') .. ',"node":"' .. index .. '","items":' .. count .. ',"node_state":"' .. STATE.EXPANDING .. '"}')
end
changed = true
local rec = record(index)
for i = 4, #ARGV do
  local node = index .. '.' .. (first + i - 4)
  local cancelled = about('cancelled') == '1'
  if rec.m and not cancelled and not call('HGET', S, node) then
    call('HSET', S, node, STATE.HELD)
    call('HSET', R, 'i' .. node, ARGV[i])
    call('RPUSH', W .. ':v:' .. index, node)
  elseif not call('HGET', S, node) and (cancelled or send(node, rec, ARGV[i])) then
    call('HSET', S, node, cancelled and STATE.CANCELLED or STATE.FAILED)
    call('HINCRBY', W .. ':x', 'f' .. index, 1)
    call('HINCRBY', W .. ':x', 'd' .. index, 1)
  end
end
if rec.m then refill(index, rec) end
if tonumber(call('HGET', W .. ':x', 'd' .. index) or '0') == count then gathered(index) end
return outcome()
