"""The scripts of the engine. Each is one step: whoever is killed was killed before it or after it.

A finished node counts down those that wait for it and puts the messages of the ready ones into the broker's own list.
Everything may be said twice: a node ends once, and what its end sets off happens in the same step.
"""

import functools
from typing import Any

from common import redis
from common.conf import settings as common_settings
from workflows.engine.shared import BASE, GATHER, STEP

# Seconds for which the keys of a workflow that has ended are kept: its last messages may still be delivered twice.
KEPT = 3600

# KEYS: workflow, prefix. Begins a loaded workflow: whatever is ready goes out. ARGV: total, then the ready nodes.
_BEGIN = """
if about('state') ~= 'LOADED' then return {false, {}, {}, {}} end
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
elseif before == 'l' and letter == 's' then
  keep()
  call('HSET', S, node, letter)
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
if call('HGET', S, index) ~= 'a' then return false end
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
if not about('state') then return {false, {}, {}, {}} end
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

# Nothing more is sent; what waits, is held or waits for a person ends as cancelled. The handlers run all the same, also
# if it was paused. ARGV: error ('' for none), then all nodes. Answers the nodes whose jobs are with the broker or a worker.
_CANCEL = """
if about('state') ~= 'RUNNING' then return {{}, outcome()} end
change('cancelled', '1')
change('paused', '0')
if ARGV[1] ~= '' then change('error', ARGV[1]) end
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
    return redis.script(_SCRIPTS[name] % {"kept": events_kept, "after": KEPT})


def run(name: str, workflow_key: str, *arguments: str | int | float) -> object:
    """Run the script called `name` on a workflow; return its answer. Raises redis errors."""
    script = _script(name, common_settings.EVENTS_KEPT)
    return redis.evaluate(script, [workflow_key, redis.key("")], arguments)


_SCRIPTS = {
    "begin": BASE + STEP + _BEGIN,
    "start": BASE + _START,
    "again": BASE + _AGAIN,
    "end": BASE + STEP + GATHER + _END,
    "expand": BASE + STEP + GATHER + _EXPAND,
    "decide": BASE + STEP + _DECIDE,
    "resend": BASE + STEP + _RESEND,
    "fail": BASE + STEP + _FAIL,
    "pause": BASE + STEP + _PAUSE,
    "cancel": BASE + STEP + _CANCEL,
}
