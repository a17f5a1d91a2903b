"""Scripts of the leases of edits."""

from __future__ import annotations

from store.engines.redis.scripts.script import Script

# KEYS leases; ARGV name, owner, seconds, most leases before those that ended are removed. Returns 1; 0: it is taken.
TAKE_LEASE = Script(
    """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local lease = redis.call('HGET', KEYS[1], ARGV[1])
if lease and lease:sub(9, 24) ~= ARGV[2] and struct.unpack('<d', lease) > now then return 0 end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[4]) then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if struct.unpack('<d', all[i + 1]) <= now then redis.call('HDEL', KEYS[1], all[i]) end
  end
end
redis.call('HSET', KEYS[1], ARGV[1], struct.pack('<d', now + tonumber(ARGV[3])) .. ARGV[2])
return 1
"""
)

# KEYS leases; ARGV owner, seconds (0: give it back), names… Returns those that were the owner's.
RENEW_LEASES = Script(
    """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local kept = {}
for i = 3, #ARGV do
  local lease = redis.call('HGET', KEYS[1], ARGV[i])
  if lease and lease:sub(9, 24) == ARGV[1] then
    kept[#kept + 1] = ARGV[i]
    if ARGV[2] == '0' then redis.call('HDEL', KEYS[1], ARGV[i])
    else redis.call('HSET', KEYS[1], ARGV[i], struct.pack('<d', now + tonumber(ARGV[2])) .. ARGV[1]) end
  end
end
return kept
""",
    "allow-oom",
)

# KEYS leases. Removes those that have ended.
SWEEP_LEASES = Script(
    """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local all, removed = redis.call('HGETALL', KEYS[1]), 0
for i = 1, #all, 2 do
  if struct.unpack('<d', all[i + 1]) <= now then removed = removed + redis.call('HDEL', KEYS[1], all[i]) end
end
return removed
""",
    "allow-oom",
)
