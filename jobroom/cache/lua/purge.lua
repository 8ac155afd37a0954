-- task ('' is all), made before (ms, '' is any), most (0 only strikes those whose time is over) → how many are gone now
-- @include common
expire()
local gone, start, most = 0, 0, tonumber(ARGV[3])
while gone < most do
  local found = redis.call('ZRANGE', prefix .. 'due', start, start + 499)
  if #found == 0 then break end
  for _, question in ipairs(found) do
    local at = ARGV[2] ~= '' and tonumber(redis.call('HGET', key('kept', question), 'at') or '0')
    local old = not at or at < tonumber(ARGV[2])
    if gone < most and old and (ARGV[1] == '' or task_of(question) == ARGV[1]) then
      gone = gone + drop(question)
    else
      start = start + 1
    end
  end
end
return gone
