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
local function gathered(index)
  local failed = tonumber(call('HGET', W .. ':x', 'f' .. index) or '0')
  if failed == 0 then gather(index) end
  local letter = failed == 0 and STATE.SUCCEEDED or STATE.FAILED
  if about('cancelled') == '1' and failed > 0 then letter = STATE.CANCELLED end
  settle(index, letter)
end
