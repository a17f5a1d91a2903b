"""Scripts that read rows."""

from __future__ import annotations

from store.engines.redis.scripts.script import WITHOUT_BODY, Script, same_store

# The part of a row that is shown: so many bytes; 0: all; -1: all but the body.
_SHOWN_OF = (
    WITHOUT_BODY
    + """
local function shown_of(row, shown)
  if shown > 0 then return row:sub(1, shown) end
  return shown < 0 and without_body(row) or row
end
"""
)

# KEYS rows meta; ARGV id, bytes of each row as in `shown_of`, most bytes, names…
GET = Script(
    same_store(2)
    + _SHOWN_OF
    + """
local found = redis.call('HMGET', KEYS[1], unpack(ARGV, 4))
local shown, total = tonumber(ARGV[2]), 0
for i, row in ipairs(found) do
  if row then
    found[i] = shown_of(row, shown)
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
    same_store(2)
    + WITHOUT_BODY
    + """
local found, total = {}, 0
for i = 3, #ARGV, 2 do
  local row, seal = redis.call('HGET', KEYS[1], ARGV[i]), ARGV[i + 1]
  if row then
    if seal ~= '' and row:sub(47, 46 + (row:byte(46) or 0)) == seal then row = without_body(row) end
    total = total + #row
  end
  found[#found + 1] = row
end
if total > tonumber(ARGV[2]) and #found > 1 then return redis.error_reply('TOOMUCH ' .. total) end
return found
""",
    "no-writes",
)

# KEYS rows index meta; ARGV id, order, bytes of each row as in `shown_of`, limit, most bytes, reverse; then two or
# three by the order: inserted: from, to (scores); name: from, to (lexical bounds); expiry: score and id to begin
# after, last score.
# Returns whether more rows may follow, and after which place in the index: its score or its name, and its id; then
# name and row by turns. What the index says counts for the place alone: in the order of expiry only rows come that
# have the expiry that the index says.
SCAN = Script(
    same_store(3)
    + _SHOWN_OF
    + """
local order, shown, reverse = ARGV[2], tonumber(ARGV[3]), ARGV[6] == '1'
local limit, most = tonumber(ARGV[4]), tonumber(ARGV[5])
local index, names, members, scores = KEYS[2], nil, nil, nil
local function is_after(member, id) -- Lua compares texts in the order of the server's language
  local high, low = struct.unpack('>I4I4', member .. ('\\0'):rep(8))
  local of_high, of_low = struct.unpack('>I4I4', id)
  return high > of_high or (high == of_high and low > of_low)
end
if order == 'expiry' then
  local first = 0
  if ARGV[7] ~= '' then
    local low = redis.call('ZCOUNT', index, '-inf', '(' .. ARGV[7])
    local high = redis.call('ZCOUNT', index, '-inf', ARGV[7])
    while low < high do
      local middle = math.floor((low + high) / 2)
      local member = redis.call('ZRANGE', index, middle, middle)[1]
      if is_after(member, ARGV[8]) then high = middle else low = middle + 1 end
    end
    first = low
  end
  local last = math.min(first + limit, redis.call('ZCOUNT', index, '-inf', ARGV[9])) - 1
  names, members, scores = {}, {}, {}
  if last >= first then
    local entries = redis.call('ZRANGE', index, first, last, 'WITHSCORES')
    for i = 1, #entries, 2 do
      members[#members + 1], scores[#scores + 1] = entries[i], entries[i + 1]
      names[#names + 1] = entries[i]:sub(9)
    end
  end
elseif order == 'name' then
  if reverse then names = redis.call('ZREVRANGEBYLEX', index, ARGV[8], ARGV[7], 'LIMIT', 0, limit)
  else names = redis.call('ZRANGEBYLEX', index, ARGV[7], ARGV[8], 'LIMIT', 0, limit) end
else
  if reverse then names = redis.call('ZREVRANGEBYSCORE', index, ARGV[8], ARGV[7], 'LIMIT', 0, limit)
  else names = redis.call('ZRANGEBYSCORE', index, ARGV[7], ARGV[8], 'LIMIT', 0, limit) end
end
local found, total, looked = {#names == limit and 1 or 0, '', ''}, 0, 0
for i, name in ipairs(names) do
  local row = redis.call('HGET', KEYS[1], name)
  if row and scores
      and (#row < 41 or row:byte(33) ~= 1 or struct.unpack('<d', row, 34) ~= tonumber(scores[i])) then
    row = nil
  end
  if row then
    row = shown_of(row, shown)
    if total > 0 and total + #row > most then
      found[1] = 1
      break
    end
    total = total + #row
    found[#found + 1] = name
    found[#found + 1] = row
  end
  looked = i
end
if found[1] == 1 and looked > 0 then
  if scores then found[2], found[3] = scores[looked], members[looked]:sub(1, 8)
  elseif order == 'name' then found[2] = names[looked]
  else found[2] = redis.call('ZSCORE', index, names[looked]) end
end
return found
""",
    "no-writes",
)

# KEYS rows expiry meta; ARGV id, now. Returns how many records have not expired, and the next expiry.
COUNT = Script(
    same_store(3)
    + """
local gone = redis.call('ZCOUNT', KEYS[2], '-inf', ARGV[2])
local next = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {redis.call('HLEN', KEYS[1]) - gone, next[2] or false}
""",
    "no-writes",
)

# KEYS meta, of several namespaces. Returns the store of each, and the bytes of its names and rows; nils where there
# is none.
BYTES = Script(
    """
local found = {}
for i = 1, #KEYS do found[i] = redis.call('HMGET', KEYS[i], 'id', 'bytes') end
return found
""",
    "no-writes",
)

# KEYS rows order names expiry. Returns how many entries each has, all at one moment.
SIZES = Script(
    """
return {redis.call('HLEN', KEYS[1]), redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3]),
  redis.call('ZCARD', KEYS[4])}
""",
    "no-writes",
)

# KEYS rows expiry; ARGV entries of the index of expiries… Returns those that are there without a row.
STRAY = Script(
    """
local found = {}
for _, entry in ipairs(ARGV) do
  local row = redis.call('HGET', KEYS[1], entry:sub(9))
  if not (row and row:byte(33) == 1 and struct.pack('>I8', struct.unpack('<I8', row)) == entry:sub(1, 8))
      and redis.call('ZSCORE', KEYS[2], entry) then
    found[#found + 1] = entry
  end
end
return found
""",
    "no-writes",
)

# KEYS rows order names meta expiry; ARGV id, cursor of HSCAN, most records, bytes that they may have. Returns the
# next cursor, then the names that the index of order does not have, those that the index of names does not have, and
# those that an index has in another place. The server itself holds the rows of a step: HSCAN without values came with
# Redis 7.4.
UNLISTED = Script(
    same_store(4)
    + """
local records, bytes = redis.call('HLEN', KEYS[1]), tonumber(redis.call('HGET', KEYS[4], 'bytes') or 0)
local number = math.floor(tonumber(ARGV[4]) * records / math.max(bytes or 0, 1))
if not (number > 1) then number = 1 end -- also if it is none, since `bytes` was not
local step = redis.call('HSCAN', KEYS[1], ARGV[2], 'COUNT', math.min(number, tonumber(ARGV[3])))
local found = {step[1], {}, {}, {}}
for i = 1, #step[2], 2 do
  local name, row = step[2][i], step[2][i + 1]
  local scores = {false, redis.call('ZSCORE', KEYS[2], name), redis.call('ZSCORE', KEYS[3], name)}
  for index = 2, 3 do
    if not scores[index] then table.insert(found[index], name) end
  end
  if #row >= 41 then
    local id, expiry = struct.unpack('<I8', row), nil
    if row:byte(33) == 1 then expiry = redis.call('ZSCORE', KEYS[5], struct.pack('>I8', id) .. name) end
    if scores[2] and tonumber(scores[2]) ~= id or scores[3] and tonumber(scores[3]) ~= 0
        or row:byte(33) == 1 and not (expiry and tonumber(expiry) == struct.unpack('<d', row, 34)) then
      table.insert(found[4], name)
    end
  end
end
return found
""",
    "no-writes",
)
