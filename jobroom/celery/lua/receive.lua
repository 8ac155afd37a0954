-- KEYS: hash and sorted set of what is unacknowledged, then the lists in their order. ARGV: the time, the hash of places that jobs have,
-- then tags to acknowledge. Answers list and text of a message, with 1 where it is noted as unacknowledged, and the places that its
-- job has: text that is no message is left to the caller.
if #ARGV > 2 then
  redis.call('ZREM', KEYS[2], unpack(ARGV, 3))
  redis.call('HDEL', KEYS[1], unpack(ARGV, 3))
end
for i = 3, #KEYS do
  local text = redis.call('RPOP', KEYS[i])
  if text then
    local right, message = pcall(cjson.decode, text)
    local found = right and type(message) == 'table' and message.properties
    local info = type(found) == 'table' and found.delivery_info
    if type(info) ~= 'table' or type(found.delivery_tag) ~= 'string' or type(info.routing_key) ~= 'string'
      or type(info.exchange) ~= 'string' then return {KEYS[i], text, 0} end
    redis.call('HSET', KEYS[1], found.delivery_tag,
      '[' .. text .. ',' .. cjson.encode(info.exchange) .. ',' .. cjson.encode(info.routing_key) .. ']')
    redis.call('ZADD', KEYS[2], ARGV[1], found.delivery_tag)
    local id = type(message.headers) == 'table' and message.headers.id
    return {KEYS[i], text, 1, type(id) == 'string' and redis.call('HGET', ARGV[2], id) or ''}
  end
end
return false
