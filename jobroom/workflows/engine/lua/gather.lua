-- All items of a fan-out have ended: its result is the list of theirs, in order.
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
  local letter = failed == 0 and STATE.SUCCEEDED or STATE.FAILED
  if about('cancelled') == '1' and failed > 0 then letter = STATE.CANCELLED end
  settle(index, letter)
end
local function counted(index)
  if call('HGET', W .. ':x', 'd' .. index) == call('HGET', W .. ':x', 'm' .. index) then gathered(index) end
end
