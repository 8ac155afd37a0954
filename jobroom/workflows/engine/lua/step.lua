-- For scripts that may end nodes and send others.
local G, R = W .. ':g', W .. ':r'
local clock
local function now()
  if not clock then
    local t = call('TIME')
    clock = string.format('%d.%06d', t[1], t[2])
  end
  return clock
end
-- ISO 8601 in UTC of seconds since 1970 (the civil calendar by 400-year eras; scripts have no clock functions).
local function iso(seconds)
  local day, rest = math.floor(seconds / 86400) + 719468, math.floor(seconds) % 86400
  local era = math.floor(day / 146097)
  local doe = day - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d+00:00', year, month, doy - math.floor((153 * mp + 2) / 5) + 1,
    math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60)
end
local changed = false
local function report()
  if changed then call('PUBLISH', P .. 'live:workflow:' .. wid, '{"seq":0,"type":"changed"}') end
end
local records = {}
local function record(index)
  local found = records[index]
  if not found then
    found = cjson.decode(call('HGET', G, index))
    records[index] = found
  end
  return found
end
-- The text with its results put in; or nil and why there is none: a result that could not be kept begins with '!'.
local function filled(parts, item)
  if #parts == 1 then return parts[1] end
  local names, places, out = {}, {}, {}
  local function fetch()
    if #names == 0 then return end
    local found = call('HMGET', R, unpack(names))
    for n, at in ipairs(places) do
      out[at] = found[n] or '!The result of node ' .. names[n] .. ' is not there any more.'
    end
    names, places = {}, {}
  end
  for i, part in ipairs(parts) do
    if i % 2 == 1 then out[i] = part
    elseif part == '$item' then out[i] = item
    else
      names[#names + 1], places[#places + 1] = part, i
      if #names == 1000 then fetch() end
    end
  end
  fetch()
  for i = 2, #parts, 2 do
    if string.sub(out[i], 1, 1) == '!' then return nil, string.sub(out[i], 2) end
  end
  return table.concat(out)
end
-- Fields of the workflow: all are read at once, when the first is wanted. `change` and `add` keep what was read true.
local FIELDS = {'state', 'left', 'failed', 'handler', 'finalizer', 'cancelled', 'paused', 'lenient', 'error', 'common',
  'owner', 'epoch'}
local meta
local function about(name)
  if not meta then
    meta = {}
    for n, text in ipairs(call('HMGET', W, unpack(FIELDS))) do meta[FIELDS[n]] = text end
  end
  local found = meta[name]
  if found == nil then
    found = call('HGET', W, name)
    meta[name] = found
  end
  return found
end
local function change(name, value)
  call('HSET', W, name, value)
  if meta then meta[name] = value end
end
local function add(name, by)
  local number = call('HINCRBY', W, name, by)
  if meta then meta[name] = number end
end
local unsent, sent = {}, 0
-- Returns true where the node cannot be sent: it has failed.
local function send(node, rec, item)
  local id = rec.i
  local dot = string.find(node, '.', 1, true)
  if dot then id = id .. string.sub(node, dot) end
  local body, why = filled(rec.b, item)
  if not body then
    emit(id, '{"type":"finished","job":"' .. id .. '","at":' .. now() .. ',"task":' .. cjson.encode(rec.t) .. ',"state":"failed","execution":null,"error":' ..
      cjson.encode(why) .. ',"error_type":"MissingResult","traceback":"","owner":' .. about('owner') .. ',"workflow":"' .. wid .. '","node":"' .. node .. '"}')
    return true
  end
  sent = sent + 1
  if not rec.q then
    call('SADD', W .. ':o', node)
    unsent[#unsent + 1] = node
    call('HSET', S, node, STATE.QUEUED)
    if item then call('HSET', R, 'i' .. node, item) end
    return
  end
  local number = call('HINCRBY', W .. ':x', 'n' .. node, 1)
  local eta = ''
  if rec.z and number == 1 then eta = ',"eta":"' .. iso(tonumber(now()) + rec.z) .. '"' end
  local eta_part = rec.a and ',"eta":' .. cjson.encode(rec.a) or eta
  if rec.v then eta = eta .. ',"expires":"' .. iso(tonumber(now()) + rec.v) .. '"' end
  local headers = '{"lang":"py","id":"' .. id .. '",' .. about('common') .. ',"node":"' .. node .. '","dispatch":"' .. number .. '"' .. eta .. ',' .. rec.h .. '}'
  local message = '{"body":' .. cjson.encode(body) ..
    ',"content-encoding":"utf-8","content-type":"application/json","headers":' .. headers ..
    ',"properties":{"correlation_id":"' .. id .. '","reply_to":"","delivery_mode":2,"delivery_info":{"exchange":"","routing_key":' ..
    cjson.encode(rec.n) .. '},"priority":' .. rec.p .. ',"body_encoding":"utf-8","delivery_tag":"' .. wid .. '/' .. node .. '/' .. about('epoch') .. '.' .. number .. '"}}'
  local due = rec.z and number == 1 and tonumber(now()) + rec.z or rec.u
  if due and due > tonumber(now()) + CONFIG.held then
    -- Kept until its time as `jobroom.celery.delayed` keeps what Celery sends; it is not put aside any more.
    local group = call('HGET', P .. 'later:groups', id)
    if group then
      call('HDEL', P .. 'later:groups', id)
      call('SREM', P .. 'parked:' .. group, id)
      if call('EXISTS', P .. 'parked:' .. group) == 0 then call('SREM', P .. 'parked', group) end
    end
    call('HSET', P .. 'later:messages', id, cjson.encode({list = rec.q, raw = message}))
    call('ZADD', P .. 'later', string.format('%.3f', due), id)
  else
    call('LPUSH', rec.q, message)
  end
  call('HSET', S, node, STATE.QUEUED)
  emit(id, '{"type":"queued","job":"' .. id .. '","at":' .. now() .. ',"task":' .. cjson.encode(rec.t) .. ',"queue":' .. cjson.encode(rec.n) ..
    ',"retries":0,"priority":' .. rec.p .. eta_part .. ',"source":"workflow","owner":' .. about('owner') .. ',"workflow":"' .. wid .. '","node":"' .. node .. '"}')
end
local expand = {}
local failing = {}
local noted = {}
local function note(index, node_state) noted[#noted + 1] = '"' .. index .. '":"' .. node_state .. '"' end
local function publish_node_states()
  if #noted == 0 then return end
  emit(false, '{"type":"workflow","job":null,"at":' .. now() .. ',"workflow":"' .. wid .. '","epoch":' .. about('epoch') .. ',"node_states":{' .. table.concat(noted, ',') .. '}}')
  noted = {}
end
local function ready(index)
  changed = true
  if about('paused') == '1' then
    call('RPUSH', W .. ':h', index)
    call('HSET', S, index, STATE.HELD)
    note(index, STATE.HELD)
    return
  end
  local rec = record(index)
  if rec.k == 1 or rec.k == 3 then
    local node_state = rec.k == 1 and STATE.APPROVAL or STATE.EVENT
    call('HSET', S, index, node_state)
    call('HSETNX', W .. ':x', 'a' .. index, now())  -- it may have waited before Redis forgot it
    if rec.d then call('ZADD', P .. 'wf:due', call('HGET', W .. ':x', 'a' .. index) + rec.d, wid .. '/' .. index) end
    note(index, node_state)
  elseif rec.k == 2 then
    call('HSET', S, index, STATE.EXPANDING)
    note(index, STATE.EXPANDING)
    expand[#expand + 1] = index
  else
    return send(index, rec)
  end
end
local finished = false
local function finish(state)
  finished = state
  publish_node_states()
  change('state', state)
  call('SREM', P .. 'wf:active', wid)
  call('ZREM', P .. 'wf:due', wid)
  local result, why = filled(cjson.decode(about('result')))
  if state ~= 'SUCCESS' or not result then result = 'null' end
  local mark = about('resultkey')
  if mark ~= '' then
    local status = state == 'SUCCESS' and '"SUCCESS","result":' .. result or state == 'CANCELLED' and
      '"REVOKED","result":{"exc_type":"TaskRevokedError","exc_message":["cancelled"],"exc_module":"celery.exceptions"}' or
      '"FAILURE","result":{"exc_type":"WorkflowException","exc_message":["The workflow ended as ' .. state .. '."],"exc_module":"jobroom.workflows.exceptions"}'
    local text = '{"status":' .. status .. ',"traceback":null,"children":[],"date_done":"' .. iso(tonumber(now())) ..
      '","task_id":"' .. wid .. '"}'
    call('SET', mark, text, 'EX', about('resultttl'))
    call('PUBLISH', mark, text)
  end
  emit(false, '{"type":"workflow","job":null,"at":' .. now() .. ',"workflow":"' .. wid .. '","epoch":' .. about('epoch') .. ',"state":"' .. state .. '","result":' .. cjson.encode(result) .. '}')
  for _, part in ipairs({'', ':g', ':s', ':w', ':x', ':r', ':h', ':o'}) do call('EXPIRE', W .. part, CONFIG.after) end
end
-- A handler runs when the work has ended, and once; returns whether the end has to wait for it.
local function handled(name, needed)
  local index = about(name)
  if not needed or not index or index == '' then return false end
  local node_state = call('HGET', S, index)
  if not node_state then
    if not ready(index) then return true end
    call('HSET', S, index, STATE.FAILED)
    return false
  end
  return not ENDED[node_state]
end
local function conclude()
  if tonumber(about('left')) > 0 or about('state') ~= 'RUNNING' then return end
  local failed = tonumber(about('failed')) > 0
  if handled('handler', failed) or handled('finalizer', true) then return end
  if about('error') then finish('ERROR')
  elseif about('cancelled') == '1' then finish('CANCELLED')
  elseif failed then finish('FAILURE')
  else finish('SUCCESS') end
end
local function comes_true(when, node_state)
  if when == 2 then return true end
  if when == 1 then return node_state == STATE.FAILED or node_state == STATE.LOST or node_state == STATE.TIMED_OUT end
  if when == 3 then return node_state == STATE.TIMED_OUT end
  return node_state == STATE.SUCCEEDED or node_state == STATE.SKIPPED
end
-- Errbacks that are called when a node is blocked: of a chord's body, if what has failed is a part of its header.
local function guarded(index, rec, cause)
  for number, nodes in ipairs(rec.e) do
    for _, node in ipairs(nodes) do
      if node == tonumber(cause) then
        failing[#failing + 1] = index .. '/' .. (number - 1)
        break
      end
    end
  end
end
-- Ends nodes and all that this blocks; no recursion, a chain may be thousands long.
local function settle(first, node_state)
  local stack = {{first, node_state, first}}
  local handler, finalizer = about('handler'), about('finalizer')
  changed = true
  while #stack > 0 do
    local index, how, cause = unpack(table.remove(stack))
    local rec = record(index)
    call('HSET', S, index, how)
    if index ~= handler and index ~= finalizer then
      add('left', -1)
      if (how == STATE.FAILED or how == STATE.LOST or how == STATE.TIMED_OUT and rec.y ~= 2) and not (rec.y and about('lenient') == '1') or
        how == STATE.CANCELLED and about('cancelled') ~= '1' then
        add('failed', 1)
      end
    elseif how == STATE.FAILED or how == STATE.LOST then
      add('failed', 1)
    end
    if how == STATE.BLOCKED and type(rec.e) == 'table' then guarded(index, rec, cause) end
    if how == STATE.BLOCKED or how == STATE.CANCELLED or rec.k then note(index, how) end
    for _, edge in ipairs(rec.c) do
      local child = tostring(edge[1])
      if comes_true(edge[2], how) then
        if call('HINCRBY', W .. ':w', child, 1) == edge[3] and not call('HGET', S, child) then
          if about('cancelled') == '1' then stack[#stack + 1] = {child, STATE.CANCELLED, cause}
          elseif ready(child) then stack[#stack + 1] = {child, STATE.FAILED, child} end
        end
      elseif call('HINCRBY', W .. ':w', '-' .. child, 1) == edge[4] and not call('HGET', S, child) then
        stack[#stack + 1] = {child, about('cancelled') == '1' and STATE.CANCELLED or STATE.BLOCKED, cause}
      end
    end
  end
  conclude()
end
local function outcome()
  publish_node_states()
  report()
  return {finished, unsent, expand, failing, sent}
end
