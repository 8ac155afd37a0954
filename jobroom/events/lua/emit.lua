-- One round trip: into the stream for the recorder, to the channel for anyone who watches this job now, and what a page must
-- be able to catch up on (ARGV[4] is given for those types) into the job's own short stream. The sequence number is the
-- stream position as one integer that JavaScript holds exactly: milliseconds times 4096 plus the counter within one.
--
-- The same round trip brings back whether someone has asked to cancel the job, and keeps two marks; ARGV[3] says what is
-- to be done with them. `running:<job>` is there while the job runs, `ran:<job>` for a while after an attempt has ended.
-- Both say which attempt it is: retries, dispatch, whether it may run twice, execution (ARGV[4] of a start).
--
-- - `start`: a job that is cancelled is not reported as started. A second message of an attempt that runs or has ended is
--   refused: the answer is REPEATED. A retry is a new attempt. A task that may run twice may be delivered twice, but a
--   message that was sent twice (another dispatch) is not such a delivery. `replaced:<job>` holds the dispatches of runs
--   that gave the job's place to another signature: their messages start nothing any more.
-- - `end`: the attempt has ended.
-- - `free`: the run has ended, but not the attempt: its message is, or goes, back in its queue.
-- - `sent`: someone uses the id for another life of the job: what ran before counts no more.
--
-- With KEYS[2] it also keeps a result as Celery's Redis backend does (ARGV[4], for ARGV[5] seconds; 0: for ever).
--
-- Every argument costs the task a microsecond or two: the limits are part of the text, the keys are made here.
local prefix, job, mark = string.sub(KEYS[1], 1, -7), ARGV[2], ARGV[3]
local asked = false
if mark == 'start' then
  local ran, replaced
  asked, ran, replaced = unpack(redis.call('MGET', prefix .. 'cancel:' .. job, prefix .. 'ran:' .. job, prefix .. 'replaced:' .. job))
  if asked then return asked end
  if replaced and string.find(replaced, ' ' .. string.match(ARGV[4], ' (%S+) ') .. ' ', 1, true) then return CONFIG.repeated end
  local runs = redis.call('SET', prefix .. 'running:' .. job, ARGV[4], 'EX', CONFIG.run_seconds, 'GET')
  if ran or runs then
    local function read(text) return string.match(text, '^(%d+) (%S+) (%d) (%S+)$') end
    local retries, dispatch, may, execution = read(ARGV[4])
    local function refuses(text, ended)
      if not text then return false end
      local number, other, _, run = read(text)
      if not number or run == execution or tonumber(retries) > tonumber(number) then return false end
      return ended or may == '0' or other ~= dispatch
    end
    if refuses(runs, false) or refuses(ran, true) then
      if runs then redis.call('SET', prefix .. 'running:' .. job, runs, 'EX', CONFIG.run_seconds)
      else redis.call('DEL', prefix .. 'running:' .. job) end
      return CONFIG.repeated
    end
  end
elseif mark == 'sent' then
  redis.call('DEL', prefix .. 'ran:' .. job, prefix .. 'replaced:' .. job, prefix .. 'debounced:' .. job, prefix .. 'batched:' .. job)
elseif mark ~= '' then
  asked = redis.call('GET', prefix .. 'cancel:' .. job)
  if mark == 'end' then
    local run = redis.call('GETDEL', prefix .. 'running:' .. job)
    if run then redis.call('SET', prefix .. 'ran:' .. job, run, 'EX', CONFIG.ran_seconds) end
  elseif mark == 'free' then
    redis.call('DEL', prefix .. 'running:' .. job, prefix .. 'ran:' .. job)
  end
end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', CONFIG.kept, '*', 'e', ARGV[1])
if KEYS[2] then
  if ARGV[5] == '0' then
    redis.call('SET', KEYS[2], ARGV[4])
  else
    redis.call('SET', KEYS[2], ARGV[4], 'EX', ARGV[5])
  end
  redis.call('PUBLISH', KEYS[2], ARGV[4])
elseif ARGV[4] == 'replay' then
  local recent = prefix .. 'recent:' .. job
  redis.call('XADD', recent, 'MAXLEN', '~', CONFIG.replay_kept, id, 'e', ARGV[1])
  redis.call('EXPIRE', recent, CONFIG.replay_seconds)
end
local dash = string.find(id, '-', 1, true)
local seq = tonumber(string.sub(id, 1, dash - 1)) * 4096 + tonumber(string.sub(id, dash + 1))
redis.call('PUBLISH', prefix .. 'live:job:' .. job, string.format('{"seq":%.0f,', seq) .. string.sub(ARGV[1], 2))
return asked
