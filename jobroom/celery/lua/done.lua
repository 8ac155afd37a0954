-- @include later claimed
forget(ARGV[1])
