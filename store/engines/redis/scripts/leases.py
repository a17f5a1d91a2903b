"""Scripts of the leases of edits."""

from __future__ import annotations

from store.engines.redis.scripts.script import LEASE_END, Script, same_store

# The hash of leases has two kinds of fields, both with the end and an owner: a name, with the owner of its lease; and
# byte 255 and an owner that waits, with the owner that it waits for. No name in UTF-8 has that byte. A wait is known
# for a second after each attempt; a client makes 20 in that time.

# KEYS leases rows meta; ARGV id, name, owner, seconds, most leases before those that ended are removed, most bytes of
# a row, whether the owner has other leases, for which somebody could wait (0 or 1). Returns 0 if it is taken; else 1,
# and the row, unless it is larger; 2, if there is none.
TAKE_LEASE = Script(
    same_store(3)
    + LEASE_END
    + """
local size = redis.call('HSTRLEN', KEYS[2], ARGV[2]) -- before the first write: the key may be of another type
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local lease = redis.call('HGET', KEYS[1], ARGV[2])
if lease and lease:sub(9, 24) ~= ARGV[3] and end_of(lease) > now then
  if ARGV[7] ~= '0' then
    redis.call('HSET', KEYS[1], '\\255' .. ARGV[3], struct.pack('<d', now + 1) .. lease:sub(9, 24))
  end
  return {0}
end
if ARGV[7] ~= '0' then redis.call('HDEL', KEYS[1], '\\255' .. ARGV[3]) end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[5]) then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if end_of(all[i + 1]) <= now then redis.call('HDEL', KEYS[1], all[i]) end
  end
end
redis.call('HSET', KEYS[1], ARGV[2], struct.pack('<d', now + tonumber(ARGV[4])) .. ARGV[3])
if size == 0 then return {2 - redis.call('HEXISTS', KEYS[2], ARGV[2])} end
return size > tonumber(ARGV[6]) and {1} or {1, redis.call('HGET', KEYS[2], ARGV[2])}
"""
)

# KEYS leases; ARGV owner, seconds (0: give it back), names… Returns those that were the owner's.
RENEW_LEASES = Script(
    """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local kept = {}
if ARGV[2] == '0' then redis.call('HDEL', KEYS[1], '\\255' .. ARGV[1]) end
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
    LEASE_END
    + """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local all, removed = redis.call('HGETALL', KEYS[1]), 0
for i = 1, #all, 2 do
  if end_of(all[i + 1]) <= now then removed = removed + redis.call('HDEL', KEYS[1], all[i]) end
end
return removed
""",
    "allow-oom",
)
