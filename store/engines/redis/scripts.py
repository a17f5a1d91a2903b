"""The Lua scripts: each operation is one, so that it is atomic, and done whole or not at all.

A script checks everything before its first write: Redis has no rollback. The first line makes the server refuse a
script that writes before it starts, where it could not finish: without memory, on a replica, without the replicas that
`min-replicas-to-write` asks for (https://redis.io/docs/latest/develop/programmability/eval-intro/, *Script flags*).
Errors of ours begin with a word in capitals. Numbers that must keep all their bits pass as text or packed bytes: Lua
prints 14 digits.
"""

from __future__ import annotations

from functools import cached_property
from hashlib import sha1

ANOTHER_STORE, NO_SPACE, CONFLICT, LEASED = "ANOTHERSTORE", "NOSPACE", "CONFLICT", "LEASED"
TOO_MUCH, UNKNOWN, NO_IDENTITY = "TOOMUCH", "UNKNOWN", "NOIDENTITY"
PUT, LOAD, DELETE, CHECK, CHECK_VERSION, RESEAL = b"P", b"L", b"D", b"C", b"V", b"S"
MAX_RECORDS = 1000
"""That one script reads or writes: one that took 6 seconds was a failover."""


class Script:
    """A script, and the digest by which the server knows it once it was loaded."""

    def __init__(self, text: str, flags: str = "") -> None:
        self.text = f"#!lua{f' flags={flags}' if flags else ''}\n{text}".encode()

    @cached_property
    def digest(self) -> bytes:
        """Computed on first use, since importing this module must not cost it."""
        return sha1(self.text, usedforsecurity=False).hexdigest().encode()


_SAME_STORE = """
local function another(found, id)
  if found and found ~= id then return redis.error_reply('ANOTHERSTORE it is not the store that was opened') end
end
"""

# KEYS rows meta; ARGV id, bytes of each row (0: all; -1: all but the body), most bytes, names…
GET = Script(
    _SAME_STORE
    + """
local wrong = another(redis.call('HGET', KEYS[2], 'id'), ARGV[1])
if wrong then return wrong end
local found = redis.call('HMGET', KEYS[1], unpack(ARGV, 4))
local shown, total = tonumber(ARGV[2]), 0
for i, row in ipairs(found) do
  if row then
    if shown > 0 then found[i] = row:sub(1, shown)
    elseif shown < 0 then found[i] = row:sub(1, #row - struct.unpack('<I4', row, 42)) end
    total = total + #found[i]
  end
end
if total > tonumber(ARGV[3]) and #found > 1 then return redis.error_reply('TOOMUCH ' .. total) end
return found
""",
    "no-writes",
)

# KEYS rows meta; ARGV id, most bytes, then pairs of a name and the seal that the client has with its body, or ''.
# For a row with that seal all but the body.
GET_CHANGED = Script(
    _SAME_STORE
    + """
local wrong = another(redis.call('HGET', KEYS[2], 'id'), ARGV[1])
if wrong then return wrong end
local found, total = {}, 0
for i = 3, #ARGV, 2 do
  local row, seal = redis.call('HGET', KEYS[1], ARGV[i]), ARGV[i + 1]
  if row then
    if seal ~= '' and row:sub(47, 46 + row:byte(46)) == seal then
      row = row:sub(1, #row - struct.unpack('<I4', row, 42))
    end
    total = total + #row
  end
  found[#found + 1] = row
end
if total > tonumber(ARGV[2]) and #found > 1 then return redis.error_reply('TOOMUCH ' .. total) end
return found
""",
    "no-writes",
)

# KEYS rows index meta; ARGV id, order, bytes of each row as in GET, limit, most bytes, reverse, then what the order needs:
# inserted: from, to (scores); name: from, to (lexical bounds); expiry: score and id after which it begins, last score.
# Returns whether more rows may follow, then name and row by turns.
SCAN = Script(
    _SAME_STORE
    + """
local wrong = another(redis.call('HGET', KEYS[3], 'id'), ARGV[1])
if wrong then return wrong end
local order, shown, limit, most, reverse = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local index, names = KEYS[2], nil
if order == 'expiry' then
  local first = 0
  if ARGV[7] ~= '' then
    local low, high = redis.call('ZCOUNT', index, '-inf', '(' .. ARGV[7]), redis.call('ZCOUNT', index, '-inf', ARGV[7])
    while low < high do
      local middle = math.floor((low + high) / 2)
      local member = redis.call('ZRANGE', index, middle, middle)[1]
      if member:sub(1, 8) > ARGV[8] then high = middle else low = middle + 1 end
    end
    first = low
  end
  local last = math.min(first + limit, redis.call('ZCOUNT', index, '-inf', ARGV[9])) - 1
  names = {}
  if last >= first then
    for i, member in ipairs(redis.call('ZRANGE', index, first, last)) do names[i] = member:sub(9) end
  end
elseif order == 'name' then
  if reverse then names = redis.call('ZREVRANGEBYLEX', index, ARGV[8], ARGV[7], 'LIMIT', 0, limit)
  else names = redis.call('ZRANGEBYLEX', index, ARGV[7], ARGV[8], 'LIMIT', 0, limit) end
else
  if reverse then names = redis.call('ZREVRANGEBYSCORE', index, ARGV[8], ARGV[7], 'LIMIT', 0, limit)
  else names = redis.call('ZRANGEBYSCORE', index, ARGV[7], ARGV[8], 'LIMIT', 0, limit) end
end
local found, total = {#names == limit and 1 or 0}, 0
for _, name in ipairs(names) do
  local row = redis.call('HGET', KEYS[1], name)
  if row then
    if shown > 0 then row = row:sub(1, shown)
    elseif shown < 0 then row = row:sub(1, #row - struct.unpack('<I4', row, 42)) end
    if total > 0 and total + #row > most then
      found[1] = 1
      break
    end
    total = total + #row
    found[#found + 1] = name
    found[#found + 1] = row
  end
end
return found
""",
    "no-writes",
)

# KEYS rows expiry meta; ARGV id, now. Returns how many records have not expired, and the next expiry.
COUNT = Script(
    _SAME_STORE
    + """
local wrong = another(redis.call('HGET', KEYS[3], 'id'), ARGV[1])
if wrong then return wrong end
local gone = redis.call('ZCOUNT', KEYS[2], '-inf', ARGV[2])
local next = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {redis.call('HLEN', KEYS[1]) - gone, next[2] or false}
""",
    "no-writes",
)

# KEYS rows order names expiry changes meta leases; ARGV id, owner of leases or '', token, when it was tried before (Unix
# seconds) or '', entries that the stream keeps, then steps of five: op, name, expected state, row or time, expiry as text or ''.
# Returns how many records were deleted, and the revision of each row that was put.
APPLY_TEXT = """
local meta = redis.call('HMGET', KEYS[6], 'id', 'next', 'version', 'bytes', 'cleared')
if not meta[1] then return redis.error_reply('NOSPACE the namespace is not there') end
if meta[1] ~= ARGV[1] then return redis.error_reply('ANOTHERSTORE it is not the store that was opened') end
local next, version, bytes = tonumber(meta[2] or 0), tonumber(meta[3] or 0), tonumber(meta[4] or 0)
-- Keys of another type would end the script half-way.
redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])
redis.call('ZCARD', KEYS[3])
redis.call('ZCARD', KEYS[4])
redis.call('XLEN', KEYS[5])
local leased = redis.call('HLEN', KEYS[7]) > 0
local token = ARGV[3]

if ARGV[4] ~= '' then -- the answer to the first attempt was lost: was it done?
  local newest, done, deleted, revisions = '+', false, 0, {}
  local oldest, since = nil, tonumber(ARGV[4])
  while true do
    local entries = redis.call('XREVRANGE', KEYS[5], newest, '-', 'COUNT', 500)
    oldest = entries[#entries] or oldest
    for _, entry in ipairs(entries) do
      if entry[2][4] == token then
        done = true
        if entry[2][6] == '0' then deleted = deleted + 1 else revisions[entry[2][2]] = tonumber(entry[2][6]) end
      elseif done then
        entries = {}
        break
      end
    end
    if #entries < 500 then break end
    newest = '(' .. entries[#entries][1]
  end
  if done then
    redis.call('HSET', KEYS[6], 'bytes', bytes) -- a write of this connection, for which WAIT waits
    local answer = {deleted}
    for i = 6, #ARGV, 5 do
      if ARGV[i] == 'P' or ARGV[i] == 'L' then answer[#answer + 1] = revisions[ARGV[i + 1]] or 0 end
    end
    return answer
  end
  local is_trimmed = oldest and tonumber(oldest[2][8]) >= since and not oldest[1]:match('^1%-')
  if is_trimmed or tonumber(meta[5] or 0) >= since then return redis.error_reply('UNKNOWN what came first is gone') end
end

local now
local function is_leased(name)
  local lease = redis.call('HGET', KEYS[7], name)
  if not lease or lease:sub(9, 24) == ARGV[2] then return false end
  if not now then
    local time = redis.call('TIME')
    now = tonumber(time[1]) + tonumber(time[2]) / 1000000
  end
  return struct.unpack('<d', lease) > now
end

-- The state of each name after the steps so far: base and row (false: none), and whether the row is a new one.
local states, changed, deleted, revisions = {}, {}, 0, {}
for i = 6, #ARGV, 5 do
  local op, name, expected, given, expires = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if op == 'V' then
    if expected ~= tostring(version) then return redis.error_reply('CONFLICT ' .. i) end
  else
    local state = states[name]
    if not state then
      local row = redis.call('HGET', KEYS[1], name)
      state = {base = row, row = row, expires = false}
      states[name] = state
    end
    local old = state.row
    if op == 'P' and old and old:byte(33) == 1 and struct.unpack('<d', old, 34) <= struct.unpack('<d', given, 25) then
      old = false
    end
    if op == 'S' then
      if not old or old:sub(47, 46 + old:byte(46)) ~= expected then return redis.error_reply('CONFLICT ' .. i) end
    elseif expected == 'A' then
      if old then return redis.error_reply('CONFLICT ' .. i .. ' there') end
    elseif expected ~= '' then
      if not old then return redis.error_reply('CONFLICT ' .. i .. ' deleted') end
      if 'S' .. old:sub(9, 16) .. old:sub(55, 46 + old:byte(46)) ~= expected then
        return redis.error_reply('CONFLICT ' .. i .. ' changed')
      end
    end
    local is_change = op ~= 'C'
    if op == 'D' and (not old or (given ~= '' and old:byte(33) == 1
        and struct.unpack('<d', old, 34) <= struct.unpack('<d', given))) then
      is_change = false
    end
    if is_change then
      if leased and is_leased(name) then return redis.error_reply('LEASED ' .. i) end
      if not state.place then
        changed[#changed + 1] = name
        state.place = #changed
      end
      if op == 'D' then
        state.row = false
        deleted = deleted + 1
      else
        state.expires = expires
        if op == 'S' then
          state.row = old:sub(1, 32) .. given:sub(33)
          state.expires = nil
        elseif not old then
          next = next + 1
          state.row = struct.pack('<I8', next) .. (op == 'P' and struct.pack('<I8', 1) or given:sub(9, 16)) .. given:sub(17)
          state.new = next
        elseif op == 'L' then
          state.row = old:sub(1, 8) .. given:sub(9)
        else
          local modified = given:sub(25, 32)
          if struct.unpack('<d', old, 17) > struct.unpack('<d', modified) then modified = old:sub(17, 24) end
          state.row = old:sub(1, 8) .. struct.pack('<I8', struct.unpack('<I8', old, 9) + 1) .. old:sub(17, 24)
            .. modified .. given:sub(33)
        end
        revisions[#revisions + 1] = struct.unpack('<I8', state.row, 9)
      end
    end
  end
end

-- From here on nothing can fail.
local function indexed(row, name) return struct.pack('>I8', struct.unpack('<I8', row)) .. name end
if #changed > 0 then
  version = version + 1
  local time = redis.call('TIME')[1]
  for place, name in ipairs(changed) do
    local state = states[name]
    local base, row = state.base, state.row
    if base and base:byte(33) == 1 and (not row or state.expires ~= nil) then
      redis.call('ZREM', KEYS[4], indexed(base, name))
    end
    if base then bytes = bytes - #base - #name end
    if row then
      bytes = bytes + #row + #name
      redis.call('HSET', KEYS[1], name, row)
      if state.new then redis.call('ZADD', KEYS[2], state.new, name) end
      if not base then redis.call('ZADD', KEYS[3], 0, name) end
      if state.expires and state.expires ~= '' then
        redis.call('ZADD', KEYS[4], state.expires, indexed(row, name))
      end
    elseif base then
      redis.call('HDEL', KEYS[1], name)
      redis.call('ZREM', KEYS[2], name)
      redis.call('ZREM', KEYS[3], name)
    end
    redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[5], version .. '-' .. place, 'n', name, 't', token,
      'r', row and struct.unpack('<I8', row, 9) or 0, 's', time)
    if leased and ARGV[2] ~= '' then
      local lease = redis.call('HGET', KEYS[7], name)
      if lease and lease:sub(9, 24) == ARGV[2] then redis.call('HDEL', KEYS[7], name) end
    end
  end
  redis.call('HSET', KEYS[6], 'next', next, 'version', version, 'bytes', bytes)
end
return {deleted, unpack(revisions)}
"""
APPLY = Script(APPLY_TEXT)
FREE = Script(APPLY_TEXT, "allow-oom")
"""Only deletes, so it also runs while the server has no memory left."""

# KEYS and the first three of ARGV as those of APPLY.
CLEAR = Script(
    """
local meta = redis.call('HMGET', KEYS[6], 'id', 'version', 'cleared_by')
if not meta[1] then return 0 end
if meta[1] ~= ARGV[1] then return redis.error_reply('ANOTHERSTORE it is not the store that was opened') end
if meta[3] == ARGV[3] then -- by the first attempt, whose answer was lost
  redis.call('HSET', KEYS[6], 'cleared_by', ARGV[3])
  return 1
end
local time = redis.call('TIME')
if redis.call('HLEN', KEYS[7]) > 0 then
  local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
  local leases = redis.call('HGETALL', KEYS[7])
  for i = 2, #leases, 2 do
    if leases[i]:sub(9, 24) ~= ARGV[2] and struct.unpack('<d', leases[i]) > now then
      return redis.error_reply('LEASED 0')
    end
  end
end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5])
redis.call('HSET', KEYS[6], 'version', tonumber(meta[2] or 0) + 1, 'bytes', 0, 'cleared', time[1],
  'cleared_by', ARGV[3])
return 1
""",
    "allow-oom",
)

# KEYS identity spaces; ARGV id, namespace.
ADD_SPACE = Script(
    """
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
  return redis.error_reply('ANOTHERSTORE it is not the store that was opened')
end
return redis.call('ZADD', KEYS[2], 0, ARGV[2])
"""
)

# KEYS meta; ARGV id. Returns the id that the namespace has.
MAKE_SPACE = Script(
    """
redis.call('HSETNX', KEYS[1], 'id', ARGV[1])
return redis.call('HGET', KEYS[1], 'id')
"""
)

# KEYS identity spaces sealers; ARGV id, format. Returns the id and the format that the store has.
MAKE_STORE = Script(
    """
local found = redis.call('HMGET', KEYS[1], 'id', 'format')
if found[1] then return found end
if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then return redis.error_reply('NOIDENTITY the store has lost its id') end
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'format', ARGV[2])
return {ARGV[1], ARGV[2]}
"""
)

# KEYS leases; ARGV name, owner, seconds, most leases before those that ended are removed. Returns the fence, 0: taken.
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
