"""The scripts of the engine. Each is one step: whoever is killed was killed before it or after it.

A finished node counts down those that wait for it and puts the messages of the ready ones into the broker's own list.
Everything may be said twice: a node ends once, and what its end sets off happens in the same step.
"""

import functools
from typing import Any

from jobroom import redis
from jobroom.conf import settings as common_settings
from jobroom.workflows.engine.shared import BASE, GATHER, REVIVE, STEP

# Seconds for which the keys of a workflow that has ended are kept: its last messages may still be delivered twice.
KEPT = 3600

# KEYS: workflow, prefix. Begins a loaded workflow: whatever is ready goes out. ARGV: total, then the ready nodes.
_BEGIN = """
if about('state') ~= 'LOADED' then return {false, {}, {}, {}, 0} end
change('state', 'RUNNING')
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

# ARGV: node, execution, may rerun (1, 0), job, event, dispatch. Answers `done` where the node must not run, the request to cancel
# it, or nothing.
_START = """
local node, execution, job = ARGV[1], ARGV[2], ARGV[4]
local letter = call('HGET', S, node)
if letter then
  if letter == 'c' or not ENDED[letter] then
    local flags = call('HMGET', W, 'cancelled', 'asked', 'handler', 'finalizer')
    if flags[1] == '1' and node ~= flags[3] and node ~= flags[4] then return flags[2] or 'done' end
  end
  if ENDED[letter] then return 'done' end
  if letter == 'r' then
    if ARGV[3] == '0' and call('HGET', W .. ':x', node) ~= execution then return 'done' end
    -- One that may run twice is delivered twice when its worker vanished; another message of it is one too many.
    local runs = ARGV[3] == '1' and call('HGET', W .. ':x', '=' .. node)
    if runs and runs ~= ARGV[6] then return 'done' end
  end
  if letter ~= 'r' then
    call('HSET', S, node, 'r')
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
"""

# The run of a node is over, but not the node: it goes back to its queue. ARGV: node, job, event.
_AGAIN = """
local letter = call('HGET', S, ARGV[1])
if letter and not ENDED[letter] then call('HSET', S, ARGV[1], 'q') end
call('HDEL', W .. ':x', ARGV[1], '=' .. ARGV[1])
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
if about('state') and not (before and ENDED[before]) then
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
elseif before == 'l' and (letter == 's' or letter == 'k') then
  keep()
  call('HSET', S, node, letter)
  local running, dot = about('state') == 'RUNNING', string.find(node, '.', 1, true)
  if running and not dot then revive(node, 'l')
  elseif dot then
    local index = string.sub(node, 1, dot - 1)
    if call('HINCRBY', W .. ':x', 'f' .. index, -1) == 0 and call('HGET', S, index) == 'f' then
      gather(index)
      call('HSET', S, index, 's')
      note(index, 's')
      if running then revive(index, 'f') end
    end
  end
end
if ARGV[4] ~= '' then emit(job, ARGV[4]) end
return outcome()
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
local letter = call('HGET', S, index)
if letter ~= 'a' and letter ~= 'e' then return false end
call('HSET', R, index, ARGV[3])
for i = 4, #ARGV, 2 do call('HSET', R, ARGV[i], ARGV[i + 1]) end
settle(index, ARGV[2])
return outcome()
"""

# Sends a node again whose message or worker is gone. ARGV: node, letter that it must have, item as JSON ('' for none).
_RESEND = """
if call('HGET', S, ARGV[1]) ~= ARGV[2] or about('state') ~= 'RUNNING' then return outcome() end
local dot = string.find(ARGV[1], '.', 1, true)
changed = true
call('HDEL', W .. ':x', ARGV[1], '=' .. ARGV[1])
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
if not about('state') then return {false, {}, {}, {}, 0} end
change('paused', ARGV[1])
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

# Nothing more is sent or started from the first call on; what is queued, waits, is held or waits for somebody or something outside ends as
# cancelled, and what runs is asked to stop. The handlers run all the same, also if it was paused. A call settles so many
# nodes and items and says where the next one goes on. ARGV: error ('' for none), request as JSON, seconds for which it is
# kept, text for the database, index and item to begin with, and how many this call settles.
# Answers {next index or -1, next item, jobs that will not start, jobs that run, nodes that were not sent, outcome}.
_CANCEL = """
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
    for at, letter in ipairs(call('HMGET', S, unpack(names))) do
      local name = names[at]
      if (not letter or letter == 'h') and name ~= about('handler') and name ~= about('finalizer') then waiting = waiting + 1 end
    end
  end
end
-- Returns whether the job will not start any more; one that runs is asked to stop.
local function ask(node, letter, rec)
  local dot = string.find(node, '.', 1, true)
  local job = rec.i .. (dot and string.sub(node, dot) or '')
  if letter == 'r' and call('EXISTS', P .. 'running:' .. job) == 1 then
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
    local letter = call('HGET', S, node)
    if (letter == 'q' or letter == 'r') and ask(node, letter, rec) then
      call('HSET', S, node, 'c')
      ended = ended + 1
    end
    item, budget = item + 1, budget - 1
  end
  if ended > 0 then
    call('HINCRBY', W .. ':x', 'f' .. name, ended)
    call('HINCRBY', W .. ':x', 'd' .. name, ended)
  end
  if item < count then return false end
  if count == 0 then settle(name, 'c')
  elseif tonumber(call('HGET', W .. ':x', 'd' .. name) or '0') == count then gathered(name) end
  item = 0
  return true
end
while index < nodes and budget > 0 do
  local name = tostring(index)
  local letter = call('HGET', S, name)
  budget = budget - 1
  if name == about('handler') or name == about('finalizer') then
    if letter == 'h' then call('HDEL', S, name) end
  elseif letter == 'q' or letter == 'r' then
    if ask(name, letter, record(name)) then settle(name, 'c') end
  elseif letter == 'x' then
    if not items(name, record(name)) then break end
  elseif letter == 'a' or letter == 'e' or letter == 'h' or not letter then settle(name, 'c')
  end
  index = index + 1
end
if index >= nodes then
  index = -1
  conclude()
end
return {index, item, queued, running, waiting, outcome()}
"""


# Adds a node beside one that runs. ARGV: node, index of the new one, its record, event, whether to send it (1, 0), then
# triples of index, record as it was read and record as it is to be, of those that wait for both. Answers nothing where
# another job was faster.
_ADD = """
local node, index = ARGV[1], ARGV[2]
if about('state') ~= 'RUNNING' or call('HGET', S, node) ~= 'r' or call('HLEN', G) ~= tonumber(index) then return false end
for i = 6, #ARGV, 3 do
  if call('HGET', G, ARGV[i]) ~= ARGV[i + 1] then return false end
end
call('HSET', G, index, ARGV[3])
for i = 6, #ARGV, 3 do
  call('HSET', G, ARGV[i], ARGV[i + 2])
  call('HINCRBY', W .. ':w', ARGV[i], -1)
end
add('left', 1)
call('HINCRBY', W, 'total', 1)
emit(false, ARGV[4])
if ARGV[5] == '0' then call('HSET', S, index, 'q')
elseif ready(index) then settle(index, 'f') end
return outcome()
"""


@functools.lru_cache(maxsize=32)
def _script(name: str, events_kept: int, held: float) -> Any:
    """Return the script called `name`, its limits put in."""
    return redis.script(_SCRIPTS[name] % {"kept": events_kept, "after": KEPT, "held": held})


def run(name: str, workflow_key: str, *arguments: str | int | float) -> object:
    """Run the script called `name` on a workflow; return its answer. Raises redis errors."""
    script = _script(name, common_settings.EVENTS_KEPT, common_settings.HELD_AT_MOST)
    return redis.evaluate(script, [workflow_key, redis.key("")], arguments)


_SCRIPTS = {
    "begin": BASE + STEP + _BEGIN,
    "start": BASE + _START,
    "again": BASE + _AGAIN,
    "end": BASE + STEP + GATHER + REVIVE + _END,
    "expand": BASE + STEP + GATHER + _EXPAND,
    "decide": BASE + STEP + _DECIDE,
    "resend": BASE + STEP + _RESEND,
    "fail": BASE + STEP + _FAIL,
    "pause": BASE + STEP + _PAUSE,
    "add": BASE + STEP + _ADD,
    "cancel": BASE + STEP + GATHER + _CANCEL,
}
