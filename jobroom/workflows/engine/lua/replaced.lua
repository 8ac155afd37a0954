-- What took the place of a node is sent: it has no message of its own until that has ended, and no one must miss one.
-- ARGV: node, job, event.
-- @include base
if call('HGET', S, ARGV[1]) == STATE.QUEUED then
  call('HSET', S, ARGV[1], STATE.RUNNING)
  call('HSET', W .. ':x', ARGV[1], 'replaced')
end
emit(ARGV[2], ARGV[3])
return false
