-- ARGV: seconds for one, seconds for all, whether it is taken (1) or only looked at (0). Answers the seconds until there
-- is room, in text ('0' when there is).
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local one, all = tonumber(ARGV[1]), tonumber(ARGV[2])
-- No more than all is ever taken: what lies further ahead is left of a clock that was set back since.
local due = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or now), now), now + all)
local wait = due + one - all - now
if wait > 0.000001 then return tostring(wait) end
if ARGV[3] == '1' then
  redis.call('SET', KEYS[1], string.format('%.6f', due + one), 'PX', math.ceil((due + one - now) * 1000))
end
return '0'
