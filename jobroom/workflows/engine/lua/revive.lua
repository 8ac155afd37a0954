-- A node that was taken for lost has succeeded all the same: what it has blocked is let go, as if it had never been lost.
-- Takes back what the end `before` of a node, or its being blocked, has made impossible for those that wait for it.
local function release(index, before, now_true, freed)
  for _, edge in ipairs(record(index).c) do
    local child = tostring(edge[1])
    if not comes_true(edge[2], before) then
      local impossible = call('HINCRBY', W .. ':w', '-' .. child, -1)
      if now_true and comes_true(edge[2], STATE.SUCCEEDED) then call('HINCRBY', W .. ':w', child, 1) end
      if call('HGET', S, child) == STATE.BLOCKED and impossible < edge[4] then freed[#freed + 1] = child end
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
    if call('HGET', S, child) == STATE.BLOCKED then
      call('HDEL', S, child)
      if child ~= handler and child ~= finalizer then add('left', 1) end
      note(child, STATE.WAITING)
      release(child, STATE.BLOCKED, false, freed)
    end
    at = at + 1
  end
  for _, edge in ipairs(rec.c) do
    local child = tostring(edge[1])
    if tonumber(call('HGET', W .. ':w', child) or '0') >= edge[3] and not call('HGET', S, child) then
      if about('cancelled') == '1' then settle(child, STATE.CANCELLED)
      elseif ready(child) then settle(child, STATE.FAILED) end
    end
  end
  conclude()
end
