-- For every script. `W` is the workflow's key, `P` the prefix of all keys.
local W, P = KEYS[1], KEYS[2]
local call = redis.call
local wid, S = string.sub(W, #P + 4), W .. ':s'
local ENDED = CONFIG.ended
local function emit(job, text)
  local id = call('XADD', P .. 'events', 'MAXLEN', '~', CONFIG.kept, '*', 'e', text)
  local dash = string.find(id, '-', 1, true)
  local seq = string.format('%.0f', tonumber(string.sub(id, 1, dash - 1)) * 4096 + tonumber(string.sub(id, dash + 1)))
  if job then
    call('PUBLISH', P .. 'live:job:' .. job, '{"seq":' .. seq .. ',' .. string.sub(text, 2))
  end
  return seq
end
