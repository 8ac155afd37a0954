-- In one step, so that a job cannot start in between: from now on the worker that starts it finds the request.
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('DEL', KEYS[3])
return redis.call('EXISTS', KEYS[2])
