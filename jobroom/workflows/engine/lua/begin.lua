-- KEYS: workflow, prefix. Begins a loaded workflow: whatever is ready goes out. ARGV: total, then the ready nodes.
-- @include base step
if about('state') ~= 'LOADED' then return {false, {}, {}, {}, 0} end
change('state', 'RUNNING')
call('SADD', P .. 'wf:active', wid)
for _, index in ipairs(ARGV) do
  if not call('HGET', S, index) then
    if about('cancelled') == '1' then settle(index, STATE.CANCELLED)
    elseif ready(index) then settle(index, STATE.FAILED) end
  end
end
changed = true
conclude()
return outcome()
