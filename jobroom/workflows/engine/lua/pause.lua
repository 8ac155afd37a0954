-- ARGV: 1 to pause, 0 to go on.
-- @include base step gather
if not about('state') then return {false, {}, {}, {}, 0} end
change('paused', ARGV[1])
changed = true
if ARGV[1] == '0' then
  while true do
    local index = call('LPOP', W .. ':h')
    if not index then break end
    if call('HGET', S, index) == STATE.HELD then
      call('HDEL', S, index)
      if ready(index) then settle(index, STATE.FAILED) end
    end
  end
  local letters = call('HGETALL', S)
  for i = 2, #letters, 2 do
    local rec = letters[i] == STATE.EXPANDING and record(letters[i - 1])
    if rec and rec.m then
      refill(letters[i - 1], rec)
      counted(letters[i - 1])
    end
  end
end
return outcome()
