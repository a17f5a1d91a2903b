"""Scripts of the named locks."""

from __future__ import annotations

from store.engines.redis.scripts.script import Script

# KEYS lock; ARGV owner, seconds, the last fence that the client knows of, milliseconds that the key stays.
# Returns the fence; 0: it is taken. A held lock is only read.
TAKE_LOCK = Script(
    """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local lock = redis.call('HMGET', KEYS[1], 'owner', 'until', 'fence')
local fence = tonumber(lock[3] or 0)
if not (fence and fence >= 0 and fence < 2 ^ 53) then fence = 0 end -- another program wrote it: the time is greater
if lock[1] and (tonumber(lock[2] or 0) or 0) > now then
  if lock[1] ~= ARGV[1] then return 0 end
  return fence -- the answer to the first attempt was lost
end
fence = math.max(fence + 1, tonumber(ARGV[3]) + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', string.format('%.6f', now + tonumber(ARGV[2])),
  'fence', string.format('%.0f', fence))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return fence
"""
)

# KEYS locks…; ARGV seconds (0: release them), milliseconds that the keys stay, then owner and fence of each. Returns
# 1 for each that was its owner's, else 0. A key that is not there was lost by a failover: it is made again.
KEEP_LOCKS = Script(
    """
local time = redis.call('TIME')
local ends = string.format('%.6f', tonumber(time[1]) + tonumber(time[2]) / 1000000 + tonumber(ARGV[1]))
local kept = {}
for i, key in ipairs(KEYS) do
  local owner, fence = ARGV[2 * i + 1], ARGV[2 * i + 2]
  local is_gone = redis.call('EXISTS', key) == 0
  kept[i] = (is_gone or redis.call('HGET', key, 'owner') == owner) and 1 or 0
  if kept[i] == 1 then
    if ARGV[1] ~= '0' then redis.call('HSET', key, 'owner', owner, 'until', ends)
    elseif not is_gone then redis.call('HDEL', key, 'owner', 'until') end
    if is_gone and fence ~= '0' then redis.call('HSET', key, 'fence', fence) end
    redis.call('PEXPIRE', key, ARGV[2])
  end
end
return kept
""",
    "allow-oom",
)
