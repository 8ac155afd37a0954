-- question, job, then jobs that have been given what they waited for → the entries of those who have joined meanwhile
-- @include common
local question = ARGV[1]
local flight = redis.call('HMGET', key('flight', question), 'leader', 'end')
if flight[1] ~= ARGV[2] or not flight[2] then return {} end
for number = 3, #ARGV do forget(question, ARGV[number]) end
local found = entries(question)
if #found == 0 then close(question) end
return found
