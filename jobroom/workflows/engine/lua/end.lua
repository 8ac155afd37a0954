-- ARGV: node, state, job, event ('' if someone else has reported it), key, text and seconds of Celery's result ('' for none;
-- the text is then the epoch of which the end was read by someone else than the job, '' for any), whole result ('' when no one needs it), then pairs of name and text of parts of it.
-- @include base step gather revive
local node, node_state, job = ARGV[1], ARGV[2], ARGV[3]
-- Who read the end of another life, and was slow, must not end this one with it.
if ARGV[5] == '' and ARGV[6] ~= '' and ARGV[6] ~= about('epoch') then return outcome() end
if ARGV[5] ~= '' then
  call('SET', ARGV[5], ARGV[6], 'EX', ARGV[7])
  call('PUBLISH', ARGV[5], ARGV[6])
end
call('DEL', P .. 'running:' .. job)
local function keep()
  if ARGV[8] ~= '' then call('HSET', R, node, ARGV[8]) end
  for i = 9, #ARGV, 2 do call('HSET', R, ARGV[i], ARGV[i + 1]) end
end
local before = call('HGET', S, node)
if about('state') and not (before and ENDED[before]) then
  keep()
  local dot = string.find(node, '.', 1, true)
  if not dot then
    settle(node, node_state)
  else
    local index = string.sub(node, 1, dot - 1)
    changed = true
    call('HSET', S, node, node_state)
    if node_state ~= STATE.SUCCEEDED and node_state ~= STATE.SKIPPED then call('HINCRBY', W .. ':x', 'f' .. index, 1) end
    call('HINCRBY', W .. ':x', 'd' .. index, 1)
    local rec = record(index)
    if rec.m then
      call('HINCRBY', W .. ':x', 'u' .. index, -1)
      refill(index, rec)
    end
    counted(index)
  end
elseif before == STATE.LOST and (node_state == STATE.SUCCEEDED or node_state == STATE.SKIPPED) then
  keep()
  call('HSET', S, node, node_state)
  local running, dot = about('state') == 'RUNNING', string.find(node, '.', 1, true)
  if running and not dot then revive(node, STATE.LOST)
  elseif dot then
    local index = string.sub(node, 1, dot - 1)
    if call('HINCRBY', W .. ':x', 'f' .. index, -1) == 0 and call('HGET', S, index) == STATE.FAILED then
      gather(index)
      call('HSET', S, index, STATE.SUCCEEDED)
      note(index, STATE.SUCCEEDED)
      if running then revive(index, STATE.FAILED) end
    end
  end
end
if ARGV[4] ~= '' then emit(job, ARGV[4]) end
return outcome()
