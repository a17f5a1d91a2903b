"""Scripts that write rows. One file because APPLY and CLEAR share parts, and each reads what the other leaves."""

from __future__ import annotations

from store.engines.redis.scripts.script import LEASE_END, Script

PUT, LOAD, DELETE, CHECK, CHECK_VERSION, RESEAL = b"P", b"L", b"D", b"C", b"V", b"S"

# KEYS rows order names expiry changes meta leases; ARGV id, owner of leases or '', token, when it was tried before
# (Unix seconds) or '', entries that the stream keeps, then steps of five: op, name, expected state, row or time,
# expiry as text or ''. For several namespaces, which are in one slot: seven KEYS for each; before the steps how many
# each has, and the steps in that order.
# Returns how many records were deleted, and the revision of each row that was put. Errors name a step by its number.
#
# An attempt whose answer was lost may reach the server late, after the next one. That one notes the token in
# `retried` (ten digits of seconds, then the newest tokens), by which the script refuses the late one.
REPEATED_SECONDS, REPEATED_TOKENS = 600, 1000
_ATTEMPTS = """
local function is_late(retried, token, again)
  return again == '' and retried and retried:find(token, 11, true)
end

-- Note in `meta` that attempts with that token which arrive after this one are late.
local function repeated(meta, retried, token)
  if not (retried and retried:find(token, 11, true)) then
    retried = redis.call('TIME')[1] .. token .. (retried or ''):sub(11, 10 + 12 * (REPEATED_TOKENS - 1))
    redis.call('HSET', meta, 'retried', retried)
  end
  return retried
end

-- The entries that a write left in the stream, newest first, and whether those of that time are gone.
local function entries_of(changes, token, since)
  local found, newest, oldest = {}, '+', nil
  while true do
    local entries = redis.call('XREVRANGE', changes, newest, '-', 'COUNT', 500)
    oldest = entries[#entries] or oldest
    for _, entry in ipairs(entries) do
      if entry[2][4] == token then found[#found + 1] = entry
      elseif #found > 0 then return found, false end
    end
    if #entries < 500 or tonumber(oldest[2][8]) < since then break end
    newest = '(' .. entries[#entries][1]
  end
  return found, oldest and tonumber(oldest[2][8]) >= since and oldest[1] ~= '1-1'
end
""".replace("REPEATED_TOKENS", str(REPEATED_TOKENS))

# A number of `meta` that is none, or an entry whose id is beyond the version, would end a script half-way. These find
# out before its first write. The first entry of a script is its first write, so that may fail; XINFO costs 7 us.
_SOUND = """
local function is_sound(text, least)
  local number = tonumber(text or 0)
  return number and number % 1 == 0 and number >= least and number < 1e14
end

local function is_ahead(changes, version)
  local info = redis.pcall('XINFO', 'STREAM', changes)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return tonumber(info[i + 1]:match('^%d+')) > version end
  end
  return false
end

-- Returns an error, or nil.
local function add_change(k, changes, most, id, name, token, revision, time)
  local added = redis.pcall('XADD', changes, 'MAXLEN', '~', most, id, 'n', name, 't', token, 'r', revision, 's', time)
  if not added.err then return nil end
  local is_of_id = added.err:find('ERR The ID', 1, true) or added.err:find('ERR The stream', 1, true)
  return is_of_id and redis.error_reply('DAMAGED ' .. k / 7 .. ' changes') or added
end
"""
APPLY_TEXT = (
    _ATTEMPTS
    + _SOUND
    + LEASE_END
    + """
local owner, token, again, now = ARGV[2], ARGV[3], ARGV[4], nil
local first = #KEYS == 7 and 6 or 6 + #KEYS / 7
local spaces, place = {}, first
for k = 0, #KEYS - 7, 7 do
  local meta = redis.call('HMGET', KEYS[k + 6], 'id', 'next', 'version', 'bytes', 'retried')
  if not meta[1] then return redis.error_reply('NOSPACE ' .. k / 7) end
  if meta[1] ~= ARGV[1] then return redis.error_reply('ANOTHERSTORE it is not the store that was opened') end
  if is_late(meta[5], token, again) then
    return redis.error_reply('REPEATED a later attempt has taken its place')
  end
  -- Keys of another type would end the script half-way.
  redis.call('HLEN', KEYS[k + 1])
  redis.call('ZCARD', KEYS[k + 2])
  redis.call('ZCARD', KEYS[k + 3])
  redis.call('ZCARD', KEYS[k + 4])
  redis.call('XLEN', KEYS[k + 5])
  local wrong = not is_sound(meta[2], 0) and 'next' or not is_sound(meta[3], 0) and 'version'
    or not is_sound(meta[4], -1e14) and 'bytes'
    or #KEYS > 7 and is_ahead(KEYS[k + 5], tonumber(meta[3] or 0)) and 'changes'
  if wrong then return redis.error_reply('DAMAGED ' .. k / 7 .. ' ' .. wrong) end
  local last = #KEYS == 7 and #ARGV or place + 5 * ARGV[6 + k / 7] - 1
  spaces[#spaces + 1] = {
    k = k, first = place, last = last, next = tonumber(meta[2] or 0), version = tonumber(meta[3] or 0),
    bytes = tonumber(meta[4] or 0), retried = meta[5], leased = redis.call('HLEN', KEYS[k + 7]) > 0,
    states = {}, changed = {},
  }
  place = last + 1
end

if again ~= '' then -- the answer to the first attempt was lost: was it done?
  local answer, is_done, is_unknown = {0}, false, false
  for _, space in ipairs(spaces) do
    space.retried = repeated(KEYS[space.k + 6], space.retried, token)
    local entries, are_gone = entries_of(KEYS[space.k + 5], token, tonumber(again))
    is_done, is_unknown = is_done or #entries > 0, is_unknown or are_gone
    local revisions = {}
    for _, entry in ipairs(entries) do
      if entry[2][6] == '0' then answer[1] = answer[1] + 1 else revisions[entry[2][2]] = tonumber(entry[2][6]) end
    end
    for i = space.first, space.last, 5 do
      if ARGV[i] == 'P' or ARGV[i] == 'L' then answer[#answer + 1] = revisions[ARGV[i + 1]] or 0 end
    end
  end
  if is_done then
    redis.call('HSET', KEYS[6], 'bytes', spaces[1].bytes) -- a write of this connection: WAIT waits for all before it
    return answer
  end
  if is_unknown then return redis.error_reply('UNKNOWN the changes of that time are gone') end
end

local function editor_of(leases, name)
  local lease = redis.call('HGET', leases, name)
  if not lease or lease:sub(9, 24) == owner then return nil end
  if not now then
    local time = redis.call('TIME')
    now = tonumber(time[1]) + tonumber(time[2]) / 1000000
  end
  return end_of(lease) > now and lease:sub(9, 24) or nil
end
-- A circle of transactions that wait for each other would last until a timeout: the one that closes it gives up.
local function waits_for_us(leases, editor)
  for _ = 1, 100 do
    local wait = redis.call('HGET', leases, '\\255' .. editor)
    if not wait or end_of(wait) <= now then return false end
    editor = wait:sub(9, 24)
    if editor == owner then return true end
  end
  return false
end
local deleted, revisions = 0, {}
-- The state of each name after the steps so far: base and row (false: none), and whether the row is a new one.
-- Returns an error, or nil.
local function take(space, i)
  local op, name, expected, given, expires = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local number = ' ' .. (i - first) / 5
  if op == 'V' then return expected ~= tostring(space.version) and 'CONFLICT' .. number or nil end
  local state = space.states[name]
  if not state then
    local row = redis.call('HGET', KEYS[space.k + 1], name)
    local is_whole = row and #row >= 46 and #row >= 46 + row:byte(46)
    state = {base = row, row = row, expires = false, is_damaged = row and not is_whole}
    space.states[name] = state
  end
  local old = state.row
  if old and state.is_damaged and not state.place then -- what another program wrote: it can be replaced or deleted
    if expected ~= '' then return 'CONFLICT' .. number .. (expected == 'A' and ' there' or ' changed') end
    old = op == 'D' and old or false
    given = op == 'D' and '' or given
  end
  if op == 'P' and old and old:byte(33) == 1 and struct.unpack('<d', old, 34) <= struct.unpack('<d', given, 25) then
    old = false
  end
  if op == 'S' then
    if not old or old:sub(47, 46 + old:byte(46)) ~= expected then return 'CONFLICT' .. number end
  elseif expected == 'A' then
    if old then return 'CONFLICT' .. number .. ' there' end
  elseif expected ~= '' then
    if not old then return 'CONFLICT' .. number .. ' deleted' end
    if 'S' .. old:sub(9, 16) .. old:sub(55, 46 + old:byte(46)) ~= expected then
      return 'CONFLICT' .. number .. ' changed'
    end
  end
  if op == 'C' or (op == 'D' and (not old or (given ~= '' and old:byte(33) == 1
      and struct.unpack('<d', old, 34) <= struct.unpack('<d', given)))) then
    return nil
  end
  local leases = KEYS[space.k + 7]
  local editor = space.leased and editor_of(leases, name)
  if editor then
    if owner ~= '' then
      if waits_for_us(leases, editor) then return 'CONFLICT' .. number .. ' waiting' end
      redis.call('HSET', leases, '\\255' .. owner, struct.pack('<d', now + 1) .. editor) -- it polls more often
    end
    return 'LEASED' .. number
  end
  if not state.place then
    space.changed[#space.changed + 1] = name
    state.place = #space.changed
  end
  if op == 'D' then
    state.row = false
    deleted = deleted + 1
    return nil
  end
  state.expires = expires
  if op == 'S' then
    state.row = old:sub(1, 32) .. given:sub(33)
    state.expires = nil
  elseif not old then
    space.next = space.next + 1
    local revision = op == 'P' and struct.pack('<I8', 1) or given:sub(9, 16)
    state.row = struct.pack('<I8', space.next) .. revision .. given:sub(17)
    state.new = space.next
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
for _, space in ipairs(spaces) do
  for i = space.first, space.last, 5 do
    local problem = take(space, i)
    if problem then return redis.error_reply(problem) end
  end
end

-- From here on nothing can fail, but the first entry of the stream, which is the first thing to be written.
local function indexed(row, name) return struct.pack('>I8', struct.unpack('<I8', row)) .. name end
local time
local function write(space, place, name)
  local k, state = space.k, space.states[name]
  local base, row = state.base, state.row
  local problem = add_change(k, KEYS[k + 5], ARGV[5], space.version .. '-' .. place, name, token,
    row and struct.unpack('<I8', row, 9) or 0, time)
  if problem then return problem end
  if state.is_damaged then
    local id = redis.call('ZSCORE', KEYS[k + 2], name)
    if id then redis.call('ZREM', KEYS[k + 4], struct.pack('>I8', tonumber(id)) .. name) end
  elseif base and base:byte(33) == 1 and (not row or state.expires ~= nil) then
    redis.call('ZREM', KEYS[k + 4], indexed(base, name))
  end
  if base then space.bytes = space.bytes - #base - #name end
  if row then
    space.bytes = space.bytes + #row + #name
    redis.call('HSET', KEYS[k + 1], name, row)
    if state.new then redis.call('ZADD', KEYS[k + 2], state.new, name) end
    if not base or state.is_damaged then redis.call('ZADD', KEYS[k + 3], 0, name) end
    if state.expires and state.expires ~= '' then
      redis.call('ZADD', KEYS[k + 4], state.expires, indexed(row, name))
    end
  elseif base then
    redis.call('HDEL', KEYS[k + 1], name)
    redis.call('ZREM', KEYS[k + 2], name)
    redis.call('ZREM', KEYS[k + 3], name)
  end
  if space.leased and owner ~= '' then
    local lease = redis.call('HGET', KEYS[k + 7], name)
    if lease and lease:sub(9, 24) == owner then redis.call('HDEL', KEYS[k + 7], name) end
  end
end
for _, space in ipairs(spaces) do
  if #space.changed > 0 then
    time = time or redis.call('TIME')[1]
    space.version = space.version + 1
    for place, name in ipairs(space.changed) do
      local problem = write(space, place, name)
      if problem then return problem end
    end
    local meta = KEYS[space.k + 6]
    if space.leased and owner ~= '' then redis.call('HDEL', KEYS[space.k + 7], '\\255' .. owner) end
    redis.call('HSET', meta, 'next', space.next, 'version', space.version, 'bytes', space.bytes)
    if space.retried and tonumber(time) - (tonumber(space.retried:sub(1, 10)) or 0) > REPEATED_SECONDS then
      redis.call('HDEL', meta, 'retried')
    end
  end
end
return {deleted, unpack(revisions)}
""".replace("REPEATED_SECONDS", str(REPEATED_SECONDS))
)
APPLY = Script(APPLY_TEXT)
FREE = Script(APPLY_TEXT, "allow-oom")
"""Only deletes, so it also runs while the server has no memory left."""

# KEYS rows order names expiry changes meta leases accesses; ARGV as the first four of APPLY. The stream of changes
# stays, for attempts that look for their token. The clear is an entry with the place 2: a client that follows the
# stream misses place 1, and reads all again.
CLEAR = Script(
    _ATTEMPTS
    + _SOUND
    + LEASE_END
    + """
local meta = redis.call('HMGET', KEYS[6], 'id', 'version', 'retried')
if not meta[1] then return 0 end
if meta[1] ~= ARGV[1] then return redis.error_reply('ANOTHERSTORE it is not the store that was opened') end
local version, token = tonumber(meta[2] or 0), ARGV[3]
if not is_sound(meta[2], 0) then return redis.error_reply('DAMAGED 0 version') end
if is_late(meta[3], token, ARGV[4]) then return redis.error_reply('REPEATED a later attempt has taken its place') end
if ARGV[4] ~= '' then -- the answer to the first attempt was lost: was it done?
  repeated(KEYS[6], meta[3], token)
  local entries, are_gone = entries_of(KEYS[5], token, tonumber(ARGV[4]))
  if #entries > 0 then
    redis.call('HSET', KEYS[6], 'version', version) -- a write of this connection, as in APPLY
    return 1
  end
  if are_gone then return redis.error_reply('UNKNOWN the changes of that time are gone') end
end
local time = redis.call('TIME')
if redis.call('HLEN', KEYS[7]) > 0 then
  local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
  local leases = redis.call('HGETALL', KEYS[7])
  for i = 2, #leases, 2 do
    if leases[i]:sub(9, 24) ~= ARGV[2] and end_of(leases[i]) > now then
      return redis.error_reply('LEASED -1')
    end
  end
end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
version = version + 1
redis.call('XLEN', KEYS[5]) -- a key of another type ends the script here
local problem = add_change(0, KEYS[5], 1e9, version .. '-2', '', token, 0, time[1])
if problem then return problem end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[8])
redis.call('HSET', KEYS[6], 'version', version, 'bytes', 0)
return 1
""",
    "allow-oom",
)
