-- A lock is its owner's while the hash carries the owner's token, and also when the hash is gone but no one else has had
-- the name since: then only the key was lost (Redis was emptied, or away for longer than the time to live).
local owner = redis.call('HGET', KEYS[1], 'token')
local last = redis.call('GET', KEYS[2])
local ours = owner == ARGV[1] or (not owner and (not last or last == ARGV[2]))
