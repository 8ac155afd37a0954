-- ARGV: index, state, result as JSON, pairs of name and text of parts: the end of a node without a job.
-- @include base step
local index = ARGV[1]
local node_state = call('HGET', S, index)
if node_state ~= STATE.APPROVAL and node_state ~= STATE.EVENT then return false end
call('HSET', R, index, ARGV[3])
for i = 4, #ARGV, 2 do call('HSET', R, ARGV[i], ARGV[i + 1]) end
settle(index, ARGV[2])
return outcome()
