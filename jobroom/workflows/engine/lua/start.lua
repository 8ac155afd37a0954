-- ARGV: node, execution, may rerun (1, 0), job, event, dispatch. Answers `done` where the node must not run, the request to cancel
-- it, or nothing.
-- @include base
local node, execution, job = ARGV[1], ARGV[2], ARGV[4]
local node_state = call('HGET', S, node)
if node_state then
  if node_state == STATE.CANCELLED or not ENDED[node_state] then
    local flags = call('HMGET', W, 'cancelled', 'asked', 'handler', 'finalizer')
    if flags[1] == '1' and node ~= flags[3] and node ~= flags[4] then return flags[2] or 'done' end
  end
  if ENDED[node_state] then return 'done' end
  if node_state == STATE.RUNNING then
    if ARGV[3] == '0' and call('HGET', W .. ':x', node) ~= execution then return 'done' end
    -- One that may run twice is delivered twice when its worker vanished; another message of it is one too many.
    local runs = ARGV[3] == '1' and call('HGET', W .. ':x', '=' .. node)
    if runs and runs ~= ARGV[6] then return 'done' end
  end
  if node_state ~= STATE.RUNNING then
    call('HSET', S, node, STATE.RUNNING)
    call('PUBLISH', P .. 'live:workflow:' .. wid, '{"seq":0,"type":"changed"}')
  end
  if ARGV[3] == '0' then call('HSET', W .. ':x', node, execution)
  elseif ARGV[6] ~= '' then call('HSET', W .. ':x', '=' .. node, ARGV[6]) end
end
local asked = call('GET', P .. 'cancel:' .. job)
if asked then return asked end
call('SET', P .. 'running:' .. job, '1', 'EX', 604800)
emit(job, ARGV[5])
return false
