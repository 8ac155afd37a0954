-- Ends a turn, if it is the caller's still. KEYS: the turn. ARGV: token, ms until the next turn may begin.
-- Answers 1, or 0 where the turn was over or is another's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1
