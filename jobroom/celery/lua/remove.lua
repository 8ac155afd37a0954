-- ARGV: jobs.
-- @include later
for _, job in ipairs(ARGV) do forget(job) end
