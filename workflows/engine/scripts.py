"""The scripts of the engine. Each is one step: whoever is killed was killed before it or after it.

A finished node counts down those that wait for it and puts the messages of the ready ones into the broker's own list.
Everything may be said twice: a node ends once, and what its end sets off happens in the same step.
"""

import functools
from typing import Any

from common import redis
from common.conf import settings as common_settings

# Seconds for which the keys of a workflow that has ended are kept: its last messages may still be delivered twice.
KEPT = 3600

# What all scripts share. `W` is the workflow's key, `P` the prefix of all keys.
_COMMON = """
local W, P = KEYS[1], KEYS[2]
local call = redis.call
local S, G, R = W .. ':s', W .. ':g', W .. ':r'
local ENDED = {s = true, k = true, f = true, l = true, c = true, b = true}
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
local function emit(job, text)
  local id = call('XADD', P .. 'events', 'MAXLEN', '~', %(kept)d, '*', 'e', text)
  local dash = string.find(id, '-', 1, true)
  local seq = string.format('%%.0f', tonumber(string.sub(id, 1, dash - 1)) * 4096 + tonumber(string.sub(id, dash + 1)))
  if job then
    call('PUBLISH', P .. 'live:job:' .. job, '{"seq":' .. seq .. ',' .. string.sub(text, 2))
  end
  return seq
end
local changed = false
local wid = string.sub(W, #P + 4)
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
local meta = {}
local function about(name)
  local found = meta[name]
  if found == nil then
    found = call('HGET', W, name)
    meta[name] = found
  end
  return found
end
local unsent = {}
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
  local due = rec.a and ',"eta":' .. cjson.encode(rec.a) or eta
  if rec.v then eta = eta .. ',"expires":"' .. iso(tonumber(now()) + rec.v) .. '"' end
  local headers = '{"lang":"py","id":"' .. id .. '",' .. about('common') .. ',"node":"' .. node .. '"' .. eta .. ',' .. rec.h .. '}'
  local message = '{"body":' .. cjson.encode(body) ..
    ',"content-encoding":"utf-8","content-type":"application/json","headers":' .. headers ..
    ',"properties":{"correlation_id":"' .. id .. '","reply_to":"","delivery_mode":2,"delivery_info":{"exchange":"","routing_key":' ..
    cjson.encode(rec.n) .. '},"priority":' .. rec.p .. ',"body_encoding":"utf-8","delivery_tag":"' .. wid .. '/' .. node .. '/' .. about('epoch') .. '.' .. number .. '"}}'
  call('LPUSH', rec.q, message)
  call('HSET', S, node, 'q')
  emit(id, '{"type":"queued","job":"' .. id .. '","at":' .. now() .. ',"task":' .. cjson.encode(rec.t) .. ',"queue":' .. cjson.encode(rec.n) ..
    ',"retries":0,"priority":' .. rec.p .. due .. ',"source":"workflow","owner":' .. about('owner') .. ',"workflow":"' .. wid .. '","node":"' .. node .. '"}')
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
  if rec.k == 1 then
    call('HSET', S, index, 'a')
    call('HSET', W .. ':x', 'a' .. index, now())
    note(index, 'a')
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
  call('HSET', W, 'state', state)
  call('SREM', P .. 'wf:active', wid)
  local result, why = filled(cjson.decode(about('result')))
  if state ~= 'SUCCESS' or not result then result = 'null' end
  local mark = about('resultkey')
  if mark ~= '' then
    local status = state == 'SUCCESS' and '"SUCCESS","result":' .. result or state == 'CANCELLED' and
      '"REVOKED","result":{"exc_type":"TaskRevokedError","exc_message":["cancelled"],"exc_module":"celery.exceptions"}' or
      '"FAILURE","result":{"exc_type":"WorkflowException","exc_message":["The workflow ended as ' .. state .. '."],"exc_module":"workflows.exceptions"}'
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
  if tonumber(call('HGET', W, 'left')) > 0 or call('HGET', W, 'state') ~= 'RUNNING' then return end
  local failed = tonumber(call('HGET', W, 'failed')) > 0
  if handled('handler', failed) or handled('finalizer', true) then return end
  if about('error') then finish('ERROR')
  elseif about('cancelled') == '1' then finish('CANCELLED')
  elseif failed then finish('FAILURE')
  else finish('SUCCESS') end
end
local function comes_true(when, letter)
  if when == 2 then return true end
  if when == 1 then return letter == 'f' or letter == 'l' end
  return letter == 's' or letter == 'k'
end
-- Ends nodes and all that this blocks; no recursion, a chain may be thousands long.
local function settle(first, letter)
  local stack = {{first, letter}}
  local handler, finalizer = about('handler'), about('finalizer')
  changed = true
  while #stack > 0 do
    local index, how = unpack(table.remove(stack))
    local rec = record(index)
    call('HSET', S, index, how)
    if index ~= handler and index ~= finalizer then
      call('HINCRBY', W, 'left', -1)
      if (how == 'f' or how == 'l') and not (rec.y and about('lenient') == '1') or how == 'c' and about('cancelled') ~= '1' then
        call('HINCRBY', W, 'failed', 1)
      end
    elseif how == 'f' or how == 'l' then
      call('HINCRBY', W, 'failed', 1)
    end
    if how == 'b' and rec.e then failing[#failing + 1] = index end
    if how == 'b' or how == 'c' or rec.k then note(index, how) end
    for _, edge in ipairs(rec.c) do
      local child = tostring(edge[1])
      if comes_true(edge[2], how) then
        if call('HINCRBY', W .. ':w', child, 1) == edge[3] and not call('HGET', S, child) then
          if about('cancelled') == '1' then stack[#stack + 1] = {child, 'c'}
          elseif ready(child) then stack[#stack + 1] = {child, 'f'} end
        end
      elseif call('HINCRBY', W .. ':w', '-' .. child, 1) == edge[4] and not call('HGET', S, child) then
        stack[#stack + 1] = {child, about('cancelled') == '1' and 'c' or 'b'}
      end
    end
  end
  conclude()
end
local function outcome()
  tell_letters()
  tell()
  return {finished, unsent, expand, failing}
end
"""

# KEYS: workflow, prefix. Begins a loaded workflow: whatever is ready goes out. ARGV: total, then the ready nodes.
_BEGIN = """
if call('HGET', W, 'state') ~= 'LOADED' then return {false, {}, {}, {}} end
call('HSET', W, 'state', 'RUNNING')
call('SADD', P .. 'wf:active', wid)
for _, index in ipairs(ARGV) do
  if not call('HGET', S, index) then
    if about('cancelled') == '1' then settle(index, 'c')
    elseif ready(index) then settle(index, 'f') end
  end
end
changed = true
conclude()
return outcome()
"""

# ARGV: node, execution, may rerun (1, 0), job, event. Answers `done` where the node must not run, the request to cancel
# it, or nothing.
_START = """
local node, execution, job = ARGV[1], ARGV[2], ARGV[4]
local letter = call('HGET', S, node)
if letter then
  if ENDED[letter] then return 'done' end
  if letter == 'r' and ARGV[3] == '0' and call('HGET', W .. ':x', node) ~= execution then return 'done' end
  if letter ~= 'r' then
    call('HSET', S, node, 'r')
    call('PUBLISH', P .. 'live:workflow:' .. wid, '{"seq":0,"type":"changed"}')
  end
  if ARGV[3] == '0' then call('HSET', W .. ':x', node, execution) end
end
local asked = call('GET', P .. 'cancel:' .. job)
if asked then return asked end
call('SET', P .. 'running:' .. job, '1', 'EX', 604800)
emit(job, ARGV[5])
return false
"""

# The run of a node is over, but not the node: it goes back to its queue. ARGV: node, job, event.
_AGAIN = """
local letter = call('HGET', S, ARGV[1])
if letter and not ENDED[letter] then call('HSET', S, ARGV[1], 'q') end
call('HDEL', W .. ':x', ARGV[1])
call('DEL', P .. 'running:' .. ARGV[2])
emit(ARGV[2], ARGV[3])
return false
"""

# ARGV: node, letter, job, event ('' if somebody else has told), key, text and seconds of Celery's result ('' for none),
# whole result ('' when nobody needs it), then pairs of name and text of parts of it.
_END = """
local node, letter, job = ARGV[1], ARGV[2], ARGV[3]
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
local state = call('HGET', W, 'state')
if state and not (before and ENDED[before]) then
  keep()
  local dot = string.find(node, '.', 1, true)
  if not dot then
    settle(node, letter)
  else
    local index = string.sub(node, 1, dot - 1)
    changed = true
    call('HSET', S, node, letter)
    if letter ~= 's' and letter ~= 'k' then call('HINCRBY', W .. ':x', 'f' .. index, 1) end
    if call('HINCRBY', W .. ':x', 'd' .. index, 1) == tonumber(call('HGET', W .. ':x', 'm' .. index)) then
      gathered(index)
    end
  end
elseif before == 'l' and letter == 's' then
  keep()
  call('HSET', S, node, letter)
end
if ARGV[4] ~= '' then emit(job, ARGV[4]) end
return outcome()
"""

# All items of a fan-out have ended: its result is the list of theirs, in order.
_GATHER = """
local function gathered(index)
  local count = tonumber(call('HGET', W .. ':x', 'm' .. index))
  local failed = tonumber(call('HGET', W .. ':x', 'f' .. index) or '0')
  if failed == 0 then
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
  local letter = failed == 0 and 's' or 'f'
  if about('cancelled') == '1' and failed > 0 then letter = 'c' end
  settle(index, letter)
end
"""

# Sends jobs of a fan-out. ARGV: index, number of all items, place of the first here, then the items as JSON.
_EXPAND = """
local index, count, first = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if call('HGET', S, index) ~= 'x' then return outcome() end
local known = call('HGET', W .. ':x', 'm' .. index)
if not known then
  call('HSET', W .. ':x', 'm' .. index, count)
  emit(false, '{"type":"workflow","job":null,"at":' .. now() .. ',"workflow":"' .. wid .. '","node":"' .. index .. '","items":' .. count .. ',"letter":"x"}')
end
changed = true
local rec = record(index)
for i = 4, #ARGV do
  local node = index .. '.' .. (first + i - 4)
  local cancelled = about('cancelled') == '1'
  if not call('HGET', S, node) and (cancelled or send(node, rec, ARGV[i])) then
    call('HSET', S, node, cancelled and 'c' or 'f')
    call('HINCRBY', W .. ':x', 'f' .. index, 1)
    call('HINCRBY', W .. ':x', 'd' .. index, 1)
  end
end
if tonumber(call('HGET', W .. ':x', 'd' .. index) or '0') == count then gathered(index) end
return outcome()
"""

# ARGV: index, letter, result as JSON, pairs of name and text of parts: the end of a node without a job.
_DECIDE = """
local index = ARGV[1]
if call('HGET', S, index) ~= 'a' then return false end
call('HSET', R, index, ARGV[3])
for i = 4, #ARGV, 2 do call('HSET', R, ARGV[i], ARGV[i + 1]) end
settle(index, ARGV[2])
return outcome()
"""

# Sends a node again whose message or worker is gone. ARGV: node, letter that it must have, item as JSON ('' for none).
_RESEND = """
if call('HGET', S, ARGV[1]) ~= ARGV[2] or call('HGET', W, 'state') ~= 'RUNNING' then return outcome() end
local dot = string.find(ARGV[1], '.', 1, true)
changed = true
call('HDEL', W .. ':x', ARGV[1])
send(ARGV[1], record(dot and string.sub(ARGV[1], 1, dot - 1) or ARGV[1]), ARGV[3])
return outcome()
"""

# Ends a node that has no living job: its arguments cannot be made, its fan-out has no list. ARGV: node, letter, event.
_FAIL = """
local letter = call('HGET', S, ARGV[1])
if not letter or ENDED[letter] then return outcome() end
emit(false, ARGV[3])
settle(ARGV[1], ARGV[2])
return outcome()
"""

# ARGV: 1 to pause, 0 to go on.
_PAUSE = """
if not call('HGET', W, 'state') then return {false, {}, {}, {}} end
call('HSET', W, 'paused', ARGV[1])
meta = {}
changed = true
if ARGV[1] == '0' then
  while true do
    local index = call('LPOP', W .. ':h')
    if not index then break end
    if call('HGET', S, index) == 'h' then
      call('HDEL', S, index)
      if ready(index) then settle(index, 'f') end
    end
  end
end
return outcome()
"""

# Nothing more is sent; what waits, is held or waits for a person ends as cancelled. The handlers run all the same, also
# if it was paused. ARGV: error ('' for none), then all nodes. Answers the nodes whose jobs are with the broker or a worker.
_CANCEL = """
if call('HGET', W, 'state') ~= 'RUNNING' then return {{}, outcome()} end
call('HSET', W, 'cancelled', '1', 'paused', '0')
if ARGV[1] ~= '' then call('HSET', W, 'error', ARGV[1]) end
meta = {}
local live = {}
for i = 2, #ARGV do
  local index = ARGV[i]
  local letter = call('HGET', S, index)
  if index == about('handler') or index == about('finalizer') then
    if letter == 'h' then call('HDEL', S, index) end
  elseif letter == 'q' or letter == 'r' then live[#live + 1] = index
  elseif letter == 'x' then
    local count = tonumber(call('HGET', W .. ':x', 'm' .. index) or '0')
    for item = 0, count - 1 do
      local found = call('HGET', S, index .. '.' .. item)
      if found == 'q' or found == 'r' then live[#live + 1] = index .. '.' .. item end
    end
    if count == 0 then settle(index, 'c') end
  elseif letter == 'a' or letter == 'h' or not letter then settle(index, 'c')
  end
end
conclude()
return {live, outcome()}
"""


@functools.lru_cache(maxsize=32)
def _script(name: str, events_kept: int) -> Any:
    """Return the script called `name`, its limits put in."""
    text, gather = _SCRIPTS[name]
    return redis.script(_COMMON % {"kept": events_kept, "after": KEPT} + (_GATHER if gather else "") + text)


def run(name: str, workflow_key: str, *arguments: str | int | float) -> object:
    """Run the script called `name` on a workflow; return its answer. Raises redis errors."""
    script = _script(name, common_settings.EVENTS_KEPT)
    return redis.evaluate(script, [workflow_key, redis.key("")], arguments)


_SCRIPTS = {
    "begin": (_BEGIN, False),
    "start": (_START, False),
    "again": (_AGAIN, False),
    "end": (_END, True),
    "expand": (_EXPAND, True),
    "decide": (_DECIDE, False),
    "resend": (_RESEND, False),
    "fail": (_FAIL, False),
    "pause": (_PAUSE, False),
    "cancel": (_CANCEL, False),
}
