-- Sends a node again whose message or worker is gone. ARGV: node, state that it must have, item as JSON ('' for none), epoch of the
-- workflow in which that was seen ('' for any).
-- @include base step
if call('HGET', S, ARGV[1]) ~= ARGV[2] or about('state') ~= 'RUNNING' then return outcome() end
if ARGV[4] ~= '' and ARGV[4] ~= about('epoch') then return outcome() end
local dot = string.find(ARGV[1], '.', 1, true)
changed = true
call('HDEL', W .. ':x', ARGV[1], '=' .. ARGV[1])
send(ARGV[1], record(dot and string.sub(ARGV[1], 1, dot - 1) or ARGV[1]), ARGV[3])
return outcome()
