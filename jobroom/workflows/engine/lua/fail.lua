-- Ends a node that has no living job: its arguments cannot be made, its fan-out has no list. ARGV: node, letter, event.
-- @include base step
local letter = call('HGET', S, ARGV[1])
if not letter or ENDED[letter] then return outcome() end
emit(false, ARGV[3])
settle(ARGV[1], ARGV[2])
return outcome()
