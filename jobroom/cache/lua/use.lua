-- question, what ('hits', 'near' or '': not counted) → the fields of its answer, empty when none is kept
-- @include common
if ARGV[2] == '' then return redis.call('HMGET', key('kept', ARGV[1]), 'job', 'result', 'at', 'version', 'content', 'files') end
return use(ARGV[1], ARGV[2]) or {}
