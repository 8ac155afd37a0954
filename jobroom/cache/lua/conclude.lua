-- question, job, end (JSON), kept ms ('' keeps nothing), most bytes of all, then of the answer: result, version, content,
-- files, bits, exact; latest; buckets… → the entries of all who wait for the job
-- @include common
local question, job = ARGV[1], ARGV[2]
if ARGV[4] ~= '' then
  local kept = key('kept', question)
  drop(question)
  expire()
  redis.call('DEL', kept)
  redis.call('HSET', kept, 'job', job, 'at', now, 'result', ARGV[6], 'version', ARGV[7], 'content', ARGV[8],
             'files', ARGV[9], 'bits', ARGV[10], 'exact', ARGV[11])
  redis.call('PEXPIRE', kept, ARGV[4])
  -- What Redis itself needs for an answer, roughly.
  local size = 600 + 2 * #question + #ARGV[6] + #ARGV[9] + #ARGV[10]
  redis.call('ZADD', prefix .. 'due', now + ARGV[4], question)
  append(prefix .. 'used', question)
  redis.call('HSET', prefix .. 'sizes', question, size)
  tally('kept', question, 1)
  tally('bytes', question, size)
  tally('computed', question, 1)
  local sum = redis.call('HINCRBY', prefix .. 'tally', 'bytes|', size)
  while sum > tonumber(ARGV[5]) do
    local oldest = redis.call('ZRANGE', prefix .. 'used', 0, 0)[1]
    if not oldest or oldest == question then break end
    drop(oldest)
    sum = tonumber(redis.call('HGET', prefix .. 'tally', 'bytes|'))
  end
  redis.call('SET', key('latest', ARGV[12]), question, 'PX', ARGV[4])
  for number = 13, #ARGV do
    local bucket = key('band', ARGV[number])
    append(bucket, question)
    redis.call('ZREMRANGEBYRANK', bucket, 0, -(CONFIG.bucket + 1))
    if redis.call('PTTL', bucket) < tonumber(ARGV[4]) then redis.call('PEXPIRE', bucket, ARGV[4]) end
  end
elseif ARGV[6] ~= '' then
  tally('refused', question, 1)
end
if redis.call('HGET', key('flight', question), 'leader') ~= job then return {} end
redis.call('HSET', key('flight', question), 'end', ARGV[3])
local found = entries(question)
if #found == 0 then close(question) end
return found
