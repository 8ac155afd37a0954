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
  local node_states = call('HGETALL', S)
  for i = 2, #node_states, 2 do
    local rec = node_states[i] == STATE.EXPANDING and record(node_states[i - 1])
    if rec and rec.m then
      refill(node_states[i - 1], rec)
      counted(node_states[i - 1])
    end
  end
end
return outcome()
