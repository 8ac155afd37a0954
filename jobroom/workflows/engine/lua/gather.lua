-- All items of a fan-out have ended: its result is the list of theirs, in order.
local function gather(index)
  local count = tonumber(call('HGET', W .. ':x', 'm' .. index))
  local found, names, wrong = {}, {}, nil
  for i = 0, count - 1 do
    names[#names + 1] = index .. '.' .. i
    if #names == 1000 or i == count - 1 then
      for _, text in ipairs(call('HMGET', R, unpack(names))) do
        found[#found + 1] = text or 'null'
        if text and string.sub(text, 1, 1) == '!' then wrong = wrong or text end
      end
      names = {}
    end
  end
  call('HSET', R, index, wrong or '[' .. table.concat(found, ',') .. ']')
  -- What others want of single items: those that are counted from the end have a place now, others may have none.
  for _, want in ipairs(record(index).w or {}) do
    local step, place = want[1], want[1]
    if type(step) == 'number' and step < 0 then place = count + step end
    if type(step) ~= 'number' or place < 0 or place >= count then
      call('HSET', R, want[4], '!A result that this node needs has no ' .. want[2] .. '; it is a list of ' .. count .. '.')
    elseif step < 0 then
      call('HSET', R, want[4], call('HGET', R, index .. '.' .. place .. want[3]) or 'null')
    end
  end
end
-- Sends items of a limited fan-out that wait, while there are places; one whose message cannot be made has failed.
local function refill(index, rec)
  local x = W .. ':x'
  if about('paused') == '1' or about('cancelled') == '1' then return end
  while tonumber(call('HGET', x, 'u' .. index) or '0') < rec.m do
    local node = call('LPOP', W .. ':v:' .. index)
    if not node then return end
    if call('HGET', S, node) == STATE.HELD then
      local item = call('HGET', R, 'i' .. node)
      call('HDEL', R, 'i' .. node)
      if send(node, rec, item) then
        call('HSET', S, node, STATE.FAILED)
        call('HINCRBY', x, 'f' .. index, 1)
        call('HINCRBY', x, 'd' .. index, 1)
      else
        call('HINCRBY', x, 'u' .. index, 1)
      end
    end
  end
end
local function gathered(index)
  local failed = tonumber(call('HGET', W .. ':x', 'f' .. index) or '0')
  if failed == 0 then gather(index) end
  local node_state = failed == 0 and STATE.SUCCEEDED or STATE.FAILED
  if about('cancelled') == '1' and failed > 0 then node_state = STATE.CANCELLED end
  settle(index, node_state)
end
local function counted(index)
  if call('HGET', W .. ':x', 'd' .. index) == call('HGET', W .. ':x', 'm' .. index) then gathered(index) end
end
