-- Nothing more is sent or started from the first call on; what is queued, waits, is held or waits for someone or something outside ends as
-- cancelled, and what runs is asked to stop. The handlers run all the same, also if it was paused. A call settles so many
-- nodes and items and says where the next one goes on. ARGV: error ('' for none), request as JSON, seconds for which it is
-- kept, text for the database, index and item to begin with, and how many this call settles.
-- Answers {next index or -1, next item, jobs that will not start, jobs that run, nodes that were not sent, outcome}.
-- @include base step gather
if about('state') ~= 'RUNNING' then return {-1, 0, {}, 0, 0, outcome()} end
change('cancelled', '1')
change('paused', '0')
change('asked', ARGV[2])
if ARGV[1] ~= '' then change('error', ARGV[1]) end
local index, item, budget = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local nodes, queued, running, waiting = call('HLEN', G), {}, 0, 0
changed = true
if index == 0 and item == 0 then  -- before any of them is settled with what it waits for
  for first = 0, nodes - 1, 1000 do
    local names = {}
    for at = first, math.min(first + 1000, nodes) - 1 do names[#names + 1] = tostring(at) end
    for at, node_state in ipairs(call('HMGET', S, unpack(names))) do
      local name = names[at]
      if (not node_state or node_state == STATE.HELD) and name ~= about('handler') and name ~= about('finalizer') then waiting = waiting + 1 end
    end
  end
end
-- Returns whether the job will not start any more; one that runs is asked to stop.
local function ask(node, node_state, rec)
  local dot = string.find(node, '.', 1, true)
  local job = rec.i .. (dot and string.sub(node, dot) or '')
  if node_state == STATE.RUNNING and call('EXISTS', P .. 'running:' .. job) == 1 then
    call('SET', P .. 'cancel:' .. job, ARGV[2], 'EX', ARGV[3])
    call('DEL', P .. 'wanted:' .. job)
    running = running + 1
    return false
  end
  call('DEL', P .. 'wanted:' .. job)
  emit(job, '{"type":"finished","job":"' .. job .. '","at":' .. now() .. ',"task":' .. cjson.encode(rec.t) .. ',"state":"cancelled","execution":null,"error":' ..
    cjson.encode(ARGV[4]) .. ',"owner":' .. about('owner') .. ',"workflow":"' .. wid .. '","node":"' .. node .. '"}')
  queued[#queued + 1] = job
  return true
end
-- Settles items of a fan-out from `item` on; returns whether all of them have been looked at.
local function items(name, rec)
  local count, ended = tonumber(call('HGET', W .. ':x', 'm' .. name) or '0'), 0
  while item < count and budget > 0 do
    local node = name .. '.' .. item
    local node_state = call('HGET', S, node)
    if node_state == STATE.HELD then call('HDEL', R, 'i' .. node) end
    if node_state == STATE.HELD or (node_state == STATE.QUEUED or node_state == STATE.RUNNING) and ask(node, node_state, rec) then
      call('HSET', S, node, STATE.CANCELLED)
      ended = ended + 1
    end
    item, budget = item + 1, budget - 1
  end
  if ended > 0 then
    call('HINCRBY', W .. ':x', 'f' .. name, ended)
    call('HINCRBY', W .. ':x', 'd' .. name, ended)
  end
  if item < count then return false end
  call('DEL', W .. ':v:' .. name)
  if count == 0 then settle(name, STATE.CANCELLED)
  elseif tonumber(call('HGET', W .. ':x', 'd' .. name) or '0') == count then gathered(name) end
  item = 0
  return true
end
while index < nodes and budget > 0 do
  local name = tostring(index)
  local node_state = call('HGET', S, name)
  budget = budget - 1
  if name == about('handler') or name == about('finalizer') then
    if node_state == STATE.HELD then call('HDEL', S, name) end
  elseif node_state == STATE.QUEUED or node_state == STATE.RUNNING then
    if ask(name, node_state, record(name)) then settle(name, STATE.CANCELLED) end
  elseif node_state == STATE.EXPANDING then
    if not items(name, record(name)) then break end
  elseif node_state == STATE.APPROVAL or node_state == STATE.EVENT or node_state == STATE.HELD or not node_state then settle(name, STATE.CANCELLED)
  end
  index = index + 1
end
if index >= nodes then
  index = -1
  conclude()
end
return {index, item, queued, running, waiting, outcome()}
