-- ARGV: node, execution, may rerun (1, 0), job, event, dispatch. Answers `done` where the node must not run, the request to cancel
-- it, or nothing.
-- @include base
local node, execution, job = ARGV[1], ARGV[2], ARGV[4]
local asked, replaced = unpack(call('MGET', P .. 'cancel:' .. job, P .. 'replaced:' .. job))
-- The run that this message brings has given the job's place to another signature.
if replaced and string.find(replaced, ' ' .. (ARGV[6] ~= '' and ARGV[6] or '-') .. ' ', 1, true) then return 'done' end
local node_state = call('HGET', S, node)
if node_state then
  if node_state == STATE.CANCELLED or not ENDED[node_state] then
    local flags = call('HMGET', W, 'cancelled', 'asked', 'handler', 'finalizer')
    if flags[1] == '1' and node ~= flags[3] and node ~= flags[4] then return flags[2] or 'done' end
  end
  if ENDED[node_state] then return 'done' end
  if node_state == STATE.RUNNING then
    local runs = call('HGET', W .. ':x', node)
    if runs == 'replaced' then call('HDEL', W .. ':x', node)  -- it is the last of what took its place
    elseif ARGV[3] == '0' then
      if runs ~= execution then return 'done' end
    else
      -- One that may run twice is delivered twice when its worker vanished; another message of it is one too many.
      local sent = call('HGET', W .. ':x', '=' .. node)
      if sent and sent ~= ARGV[6] then return 'done' end
    end
  end
  if node_state ~= STATE.RUNNING then
    call('HSET', S, node, STATE.RUNNING)
    call('PUBLISH', P .. 'live:workflow:' .. wid, '{"seq":0,"type":"changed"}')
  end
  if ARGV[3] == '0' then call('HSET', W .. ':x', node, execution)
  elseif ARGV[6] ~= '' then call('HSET', W .. ':x', '=' .. node, ARGV[6]) end
end
if asked then return asked end
call('SET', P .. 'running:' .. job, '1', 'EX', 604800)
emit(job, ARGV[5])
return false
