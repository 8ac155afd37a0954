"""What the scripts of the engine share, as Lua text that is put before each.

A script's text is run again each time, its functions made again: a script is given no more than it uses.
"""

# For every script. `W` is the workflow's key, `P` the prefix of all keys.
BASE = """
local W, P = KEYS[1], KEYS[2]
local call = redis.call
local wid, S = string.sub(W, #P + 4), W .. ':s'
local ENDED = {s = true, k = true, f = true, l = true, c = true, t = true, b = true}
local function emit(job, text)
  local id = call('XADD', P .. 'events', 'MAXLEN', '~', %(kept)d, '*', 'e', text)
  local dash = string.find(id, '-', 1, true)
  local seq = string.format('%%.0f', tonumber(string.sub(id, 1, dash - 1)) * 4096 + tonumber(string.sub(id, dash + 1)))
  if job then
    call('PUBLISH', P .. 'live:job:' .. job, '{"seq":' .. seq .. ',' .. string.sub(text, 2))
  end
  return seq
end
"""

# For scripts that may end nodes and send others.
STEP = """
local G, R = W .. ':g', W .. ':r'
local clock
local function now()
  if not clock then
    local t = call('TIME')
    clock = string.format('%%d.%%06d', t[1], t[2])
  end
  return clock
end
-- ISO 8601 in UTC of seconds since 1970 (the civil calendar by 400-year eras; scripts have no clock functions).
local function iso(seconds)
  local day, rest = math.floor(seconds / 86400) + 719468, math.floor(seconds) %% 86400
  local era = math.floor(day / 146097)
  local doe = day - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%%04d-%%02d-%%02dT%%02d:%%02d:%%02d+00:00', year, month, doy - math.floor((153 * mp + 2) / 5) + 1,
    math.floor(rest / 3600), math.floor(rest / 60) %% 60, rest %% 60)
end
local changed = false
local function tell()
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
    if i %% 2 == 1 then out[i] = part
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
    call('HSET', S, node, 'q')
    if item then call('HSET', R, 'i' .. node, item) end
    return
  end
  local number = call('HINCRBY', W .. ':x', 'n' .. node, 1)
  local eta = ''
  if rec.z and number == 1 then eta = ',"eta":"' .. iso(tonumber(now()) + rec.z) .. '"' end
  local told = rec.a and ',"eta":' .. cjson.encode(rec.a) or eta
  if rec.v then eta = eta .. ',"expires":"' .. iso(tonumber(now()) + rec.v) .. '"' end
  local headers = '{"lang":"py","id":"' .. id .. '",' .. about('common') .. ',"node":"' .. node .. '","dispatch":"' .. number .. '"' .. eta .. ',' .. rec.h .. '}'
  local message = '{"body":' .. cjson.encode(body) ..
    ',"content-encoding":"utf-8","content-type":"application/json","headers":' .. headers ..
    ',"properties":{"correlation_id":"' .. id .. '","reply_to":"","delivery_mode":2,"delivery_info":{"exchange":"","routing_key":' ..
    cjson.encode(rec.n) .. '},"priority":' .. rec.p .. ',"body_encoding":"utf-8","delivery_tag":"' .. wid .. '/' .. node .. '/' .. about('epoch') .. '.' .. number .. '"}}'
  local due = rec.z and number == 1 and tonumber(now()) + rec.z or rec.u
  if due and due > tonumber(now()) + %(held)f then
    -- Kept until its time as `jobroom.celery.delayed` keeps what Celery sends; it is not put aside any more.
    local group = call('HGET', P .. 'later:groups', id)
    if group then
      call('HDEL', P .. 'later:groups', id)
      call('SREM', P .. 'parked:' .. group, id)
      if call('EXISTS', P .. 'parked:' .. group) == 0 then call('SREM', P .. 'parked', group) end
    end
    call('HSET', P .. 'later:messages', id, cjson.encode({list = rec.q, raw = message}))
    call('ZADD', P .. 'later', string.format('%%.3f', due), id)
  else
    call('LPUSH', rec.q, message)
  end
  call('HSET', S, node, 'q')
  emit(id, '{"type":"queued","job":"' .. id .. '","at":' .. now() .. ',"task":' .. cjson.encode(rec.t) .. ',"queue":' .. cjson.encode(rec.n) ..
    ',"retries":0,"priority":' .. rec.p .. told .. ',"source":"workflow","owner":' .. about('owner') .. ',"workflow":"' .. wid .. '","node":"' .. node .. '"}')
end
local expand = {}
local failing = {}
local told = {}
local function note(index, letter) told[#told + 1] = '"' .. index .. '":"' .. letter .. '"' end
local function tell_letters()
  if #told == 0 then return end
  emit(false, '{"type":"workflow","job":null,"at":' .. now() .. ',"workflow":"' .. wid .. '","letters":{' .. table.concat(told, ',') .. '}}')
  told = {}
end
local function ready(index)
  changed = true
  if about('paused') == '1' then
    call('RPUSH', W .. ':h', index)
    call('HSET', S, index, 'h')
    note(index, 'h')
    return
  end
  local rec = record(index)
  if rec.k == 1 or rec.k == 3 then
    local letter = rec.k == 1 and 'a' or 'e'
    call('HSET', S, index, letter)
    call('HSETNX', W .. ':x', 'a' .. index, now())  -- it may have waited before Redis forgot it
    if rec.d then call('ZADD', P .. 'wf:due', call('HGET', W .. ':x', 'a' .. index) + rec.d, wid .. '/' .. index) end
    note(index, letter)
  elseif rec.k == 2 then
    call('HSET', S, index, 'x')
    note(index, 'x')
    expand[#expand + 1] = index
  else
    return send(index, rec)
  end
end
local finished = false
local function finish(state)
  finished = state
  tell_letters()
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
  for _, part in ipairs({'', ':g', ':s', ':w', ':x', ':r', ':h', ':o'}) do call('EXPIRE', W .. part, %(after)d) end
end
-- A handler runs when the work has ended, and once; returns whether the end has to wait for it.
local function handled(name, needed)
  local index = about(name)
  if not needed or not index or index == '' then return false end
  local letter = call('HGET', S, index)
  if not letter then
    if not ready(index) then return true end
    call('HSET', S, index, 'f')
    return false
  end
  return not ENDED[letter]
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
local function comes_true(when, letter)
  if when == 2 then return true end
  if when == 1 then return letter == 'f' or letter == 'l' or letter == 't' end
  if when == 3 then return letter == 't' end
  return letter == 's' or letter == 'k'
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
local function settle(first, letter)
  local stack = {{first, letter, first}}
  local handler, finalizer = about('handler'), about('finalizer')
  changed = true
  while #stack > 0 do
    local index, how, cause = unpack(table.remove(stack))
    local rec = record(index)
    call('HSET', S, index, how)
    if index ~= handler and index ~= finalizer then
      add('left', -1)
      if (how == 'f' or how == 'l' or how == 't' and rec.y ~= 2) and not (rec.y and about('lenient') == '1') or
        how == 'c' and about('cancelled') ~= '1' then
        add('failed', 1)
      end
    elseif how == 'f' or how == 'l' then
      add('failed', 1)
    end
    if how == 'b' and type(rec.e) == 'table' then guarded(index, rec, cause) end
    if how == 'b' or how == 'c' or rec.k then note(index, how) end
    for _, edge in ipairs(rec.c) do
      local child = tostring(edge[1])
      if comes_true(edge[2], how) then
        if call('HINCRBY', W .. ':w', child, 1) == edge[3] and not call('HGET', S, child) then
          if about('cancelled') == '1' then stack[#stack + 1] = {child, 'c', cause}
          elseif ready(child) then stack[#stack + 1] = {child, 'f', child} end
        end
      elseif call('HINCRBY', W .. ':w', '-' .. child, 1) == edge[4] and not call('HGET', S, child) then
        stack[#stack + 1] = {child, about('cancelled') == '1' and 'c' or 'b', cause}
      end
    end
  end
  conclude()
end
local function outcome()
  tell_letters()
  tell()
  return {finished, unsent, expand, failing, sent}
end
"""

# A node that was taken for lost has ended well all the same: what it has blocked is let go, as if it had never been lost.
REVIVE = """
-- Takes back what the end `before` of a node, or its being blocked, has made impossible for those that wait for it.
local function release(index, before, now_true, freed)
  for _, edge in ipairs(record(index).c) do
    local child = tostring(edge[1])
    if not comes_true(edge[2], before) then
      local impossible = call('HINCRBY', W .. ':w', '-' .. child, -1)
      if now_true and comes_true(edge[2], 's') then call('HINCRBY', W .. ':w', child, 1) end
      if call('HGET', S, child) == 'b' and impossible < edge[4] then freed[#freed + 1] = child end
    end
  end
end
local function revive(node, before)
  local rec, handler, finalizer = record(node), about('handler'), about('finalizer')
  changed = true
  if not (rec.y and about('lenient') == '1') then add('failed', -1) end
  local freed, at = {}, 1
  release(node, before, true, freed)
  while freed[at] do
    local child = freed[at]
    if call('HGET', S, child) == 'b' then
      call('HDEL', S, child)
      if child ~= handler and child ~= finalizer then add('left', 1) end
      note(child, 'w')
      release(child, 'b', false, freed)
    end
    at = at + 1
  end
  for _, edge in ipairs(rec.c) do
    local child = tostring(edge[1])
    if tonumber(call('HGET', W .. ':w', child) or '0') >= edge[3] and not call('HGET', S, child) then
      if about('cancelled') == '1' then settle(child, 'c')
      elseif ready(child) then settle(child, 'f') end
    end
  end
  conclude()
end
"""

# All items of a fan-out have ended: its result is the list of theirs, in order.
GATHER = """
local function gather(index)
  local count = tonumber(call('HGET', W .. ':x', 'm' .. index))
  local found, names = {}, {}
  for i = 0, count - 1 do
    names[#names + 1] = index .. '.' .. i
    if #names == 1000 or i == count - 1 then
      for _, text in ipairs(call('HMGET', R, unpack(names))) do found[#found + 1] = text or 'null' end
      names = {}
    end
  end
  call('HSET', R, index, '[' .. table.concat(found, ',') .. ']')
end
local function gathered(index)
  local failed = tonumber(call('HGET', W .. ':x', 'f' .. index) or '0')
  if failed == 0 then gather(index) end
  local letter = failed == 0 and 's' or 'f'
  if about('cancelled') == '1' and failed > 0 then letter = 'c' end
  settle(index, letter)
end
"""
