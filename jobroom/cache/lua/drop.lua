-- question → 1 if an answer is gone now
-- @include common
return drop(ARGV[1])
