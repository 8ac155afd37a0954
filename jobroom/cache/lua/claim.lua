-- question, job, entry, mode ('' takes a kept answer), own → {'answer', its fields…}, {'lead', '1' if newly}, {'alone'},
-- {'join', leader}, or {'elsewhere', question}: the job leads or waits for another one, which it must leave first
-- @include common
local question, job, entry, mode, own = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local other = redis.call('GET', key('of', job))
if other and other ~= question then return {'elsewhere', other} end
local flight = key('flight', question)
local leader, ended = redis.call('HGET', flight, 'leader'), redis.call('HEXISTS', flight, 'end') == 1
if leader == job and not ended then return {'lead', ''} end
if mode == '' then
  local found = use(question, 'hits')
  if found then
    if leader ~= job then forget(question, job) end
    table.insert(found, 1, 'answer')
    return found
  end
end
if not leader or leader == job then
  lead(question, job, '')
  redis.call('HSET', flight, 'own', own)
  return {'lead', '1'}
end
if mode ~= '' then return {'alone'} end
if redis.call('HSET', key('waiting', question), job, entry) == 1 then tally('joined', question, 1) end
if not redis.call('ZSCORE', key('line', question), job) then append(key('line', question), job) end
remember(question, job)
return {'join', leader}
