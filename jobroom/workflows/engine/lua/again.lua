-- The run of a node is over, but not the node: it goes back to its queue. ARGV: node, job, event.
-- @include base
local node_state = call('HGET', S, ARGV[1])
if node_state and not ENDED[node_state] then call('HSET', S, ARGV[1], STATE.QUEUED) end
call('HDEL', W .. ':x', ARGV[1], '=' .. ARGV[1])
call('DEL', P .. 'running:' .. ARGV[2])
emit(ARGV[2], ARGV[3])
return false
