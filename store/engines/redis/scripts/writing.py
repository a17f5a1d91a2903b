"""Scripts that write rows."""

from __future__ import annotations

from store.engines.redis.scripts.script import Script

PUT, LOAD, DELETE, CHECK, CHECK_VERSION, RESEAL = b"P", b"L", b"D", b"C", b"V", b"S"

# KEYS rows order names expiry changes meta leases; ARGV id, owner of leases or '', token, when it was tried before
# (Unix seconds) or '', entries that the stream keeps, then steps of five: op, name, expected state, row or time,
# expiry as text or ''.
# Returns how many records were deleted, and the revision of each row that was put.
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
APPLY_TEXT = (
    _ATTEMPTS
    + """
local meta = redis.call('HMGET', KEYS[6], 'id', 'next', 'version', 'bytes', 'retried')
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
local token, retried = ARGV[3], meta[5]
if is_late(retried, token, ARGV[4]) then return redis.error_reply('REPEATED a later attempt has taken its place') end

if ARGV[4] ~= '' then -- the answer to the first attempt was lost: was it done?
  retried = repeated(KEYS[6], retried, token)
  local entries, are_gone = entries_of(KEYS[5], token, tonumber(ARGV[4]))
  if #entries > 0 then
    redis.call('HSET', KEYS[6], 'bytes', bytes) -- a write of this connection: WAIT waits for all before it
    local answer, revisions = {0}, {}
    for _, entry in ipairs(entries) do
      if entry[2][6] == '0' then answer[1] = answer[1] + 1 else revisions[entry[2][2]] = tonumber(entry[2][6]) end
    end
    for i = 6, #ARGV, 5 do
      if ARGV[i] == 'P' or ARGV[i] == 'L' then answer[#answer + 1] = revisions[ARGV[i + 1]] or 0 end
    end
    return answer
  end
  if are_gone then return redis.error_reply('UNKNOWN the changes of that time are gone') end
end

local now
local function editor_of(name)
  local lease = redis.call('HGET', KEYS[7], name)
  if not lease or lease:sub(9, 24) == ARGV[2] then return nil end
  if not now then
    local time = redis.call('TIME')
    now = tonumber(time[1]) + tonumber(time[2]) / 1000000
  end
  return struct.unpack('<d', lease) > now and lease:sub(9, 24) or nil
end
-- A circle of transactions that wait for each other would stay until a timeout: who closes it gives up.
local function waits_for_us(editor)
  for _ = 1, 100 do
    local wait = redis.call('HGET', KEYS[7], '\\255' .. editor)
    if not wait or struct.unpack('<d', wait) <= now then return false end
    editor = wait:sub(9, 24)
    if editor == ARGV[2] then return true end
  end
  return false
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
      local editor = leased and editor_of(name)
      if editor then
        if ARGV[2] ~= '' then
          if waits_for_us(editor) then return redis.error_reply('CONFLICT ' .. i .. ' waiting') end
          redis.call('HSET', KEYS[7], '\\255' .. ARGV[2], struct.pack('<d', now + 1) .. editor) -- it polls more often
        end
        return redis.error_reply('LEASED ' .. i)
      end
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
          local revision = op == 'P' and struct.pack('<I8', 1) or given:sub(9, 16)
          state.row = struct.pack('<I8', next) .. revision .. given:sub(17)
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
  if leased and ARGV[2] ~= '' then redis.call('HDEL', KEYS[7], '\\255' .. ARGV[2]) end
  redis.call('HSET', KEYS[6], 'next', next, 'version', version, 'bytes', bytes)
  if retried and tonumber(time) - tonumber(retried:sub(1, 10)) > REPEATED_SECONDS then
    redis.call('HDEL', KEYS[6], 'retried')
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
    + """
local meta = redis.call('HMGET', KEYS[6], 'id', 'version', 'retried')
if not meta[1] then return 0 end
if meta[1] ~= ARGV[1] then return redis.error_reply('ANOTHERSTORE it is not the store that was opened') end
local version, token = tonumber(meta[2] or 0), ARGV[3]
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
    if leases[i]:sub(9, 24) ~= ARGV[2] and struct.unpack('<d', leases[i]) > now then
      return redis.error_reply('LEASED 0')
    end
  end
end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('XLEN', KEYS[5]) -- a key of another type ends the script here
version = version + 1
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[8])
redis.call('XADD', KEYS[5], version .. '-2', 'n', '', 't', token, 'r', 0, 's', time[1])
redis.call('HSET', KEYS[6], 'version', version, 'bytes', 0)
return 1
""",
    "allow-oom",
)
