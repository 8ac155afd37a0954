-- KEYS: workflow, prefix. Puts what a loader has written into its place, and begins it: whatever is ready goes out. ARGV: token under
-- which it was written, epoch, 1 where nothing may be in its place and 0 where an earlier life may, when its time is over ('' never),
-- whether other workers have nodes (1, 0), indexes of fan-outs with limited places, node states for the database, then the ready nodes.
-- Answers nothing where someone else has begun it meanwhile.
-- @include base step
local written = W .. ':' .. ARGV[1] .. ':'
local there = call('HMGET', W, 'state', 'epoch')
if there[1] and (ARGV[3] == '1' or tonumber(there[2]) >= tonumber(ARGV[2])) then
  for part in string.gmatch('mgswxr', '.') do call('UNLINK', written .. part) end
  return false
end
for _, part in ipairs({'', ':g', ':s', ':w', ':x', ':r', ':h', ':o'}) do call('UNLINK', W .. part) end
for _, index in ipairs(cjson.decode(ARGV[6])) do call('UNLINK', W .. ':v:' .. index) end
for part in string.gmatch('mgswxr', '.') do
  if call('EXISTS', written .. part) == 1 then
    local name = W .. (part == 'm' and '' or ':' .. part)
    call('RENAME', written .. part, name)
    call('PERSIST', name)
  end
end
if ARGV[4] ~= '' then call('ZADD', P .. 'wf:due', ARGV[4], wid) end
if ARGV[5] == '1' then call('SADD', P .. 'wf:foreign', wid) end
call('SADD', P .. 'wf:active', wid)
for index, node_state in pairs(cjson.decode(ARGV[7])) do note(index, node_state) end
publish_node_states()
for at = 8, #ARGV do
  local index = ARGV[at]
  if not call('HGET', S, index) then
    if about('cancelled') == '1' then settle(index, STATE.CANCELLED)
    elseif ready(index) then settle(index, STATE.FAILED) end
  end
end
changed = true
conclude()
return outcome()
