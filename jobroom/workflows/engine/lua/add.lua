-- Adds a node beside one that runs. ARGV: node, index of the new one, its record, event, whether to send it (1, 0), then
-- triples of index, record as it was read and record as it is to be, of those that wait for both. Answers nothing where
-- another job was faster.
-- @include base step
local node, index = ARGV[1], ARGV[2]
if about('state') ~= 'RUNNING' or call('HGET', S, node) ~= STATE.RUNNING or call('HLEN', G) ~= tonumber(index) then return false end
for i = 6, #ARGV, 3 do
  if call('HGET', G, ARGV[i]) ~= ARGV[i + 1] then return false end
end
call('HSET', G, index, ARGV[3])
for i = 6, #ARGV, 3 do
  call('HSET', G, ARGV[i], ARGV[i + 2])
  call('HINCRBY', W .. ':w', ARGV[i], -1)
end
add('left', 1)
call('HINCRBY', W, 'total', 1)
emit(false, ARGV[4])
if ARGV[5] == '0' then call('HSET', S, index, STATE.QUEUED)
elseif ready(index) then settle(index, STATE.FAILED) end
return outcome()
