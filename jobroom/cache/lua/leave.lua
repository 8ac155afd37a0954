-- question, job → when the job led: {entry of the next leader, the jobs that wait for that one now…}
-- @include common
local question, job = ARGV[1], ARGV[2]
local flight = redis.call('HMGET', key('flight', question), 'leader', 'end')
if flight[1] ~= job then
  forget(question, job)
  return {}
end
if flight[2] then return {} end
local others = line(question)
local chosen = table.remove(others, 1)
if not chosen then
  close(question)
  return {}
end
local entry = redis.call('HGET', key('waiting', question), chosen)
redis.call('DEL', key('of', job))
forget(question, chosen)
lead(question, chosen, entry)
table.insert(others, 1, entry)
return others
