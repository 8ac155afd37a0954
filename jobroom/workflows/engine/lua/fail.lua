-- Ends a node that has no living job: its arguments cannot be made, its fan-out has no list. ARGV: node, state, event (an
-- object of JSON, which is given the epoch).
-- @include base step
local node_state = call('HGET', S, ARGV[1])
if not node_state or ENDED[node_state] then return outcome() end
emit(false, string.sub(ARGV[3], 1, -2) .. ',"epoch":' .. about('epoch') .. '}')
settle(ARGV[1], ARGV[2])
return outcome()
