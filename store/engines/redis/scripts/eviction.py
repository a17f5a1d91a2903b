"""Scripts of bounded caches: random records, notes of uses, figures.

The notes are the words of `store.engines.access_table`, in a string: a fixed size, and no key for each record.
"""

from __future__ import annotations

from store.engines.access_table import FIRST_FREQUENCY as FIRST
from store.engines.access_table import LOG_FACTOR, MAX_FREQUENCY, MAX_SLOTS, TICKS
from store.engines.redis.scripts.script import Script, same_store

_HALF = LOG_FACTOR // 2
_MINUTE = 60 * TICKS

# KEYS rows order meta; ARGV id, then a random number from 0 to 1 for each record that is wanted.
# Returns how many records there are, then name and head of each chosen row. Each set of ranks is as likely as any
# other: R. W. Floyd, in J. Bentley, "Programming Pearls: A Sample of Brilliance", 1987.
SAMPLE = Script(
    same_store(3)
    + """
local total, number = redis.call('ZCARD', KEYS[2]), #ARGV - 1
local found = {total}
local function add(name)
  local row = name and redis.call('HGET', KEYS[1], name)
  if row then
    found[#found + 1] = name
    found[#found + 1] = row:sub(1, 46 + (row:byte(46) or 0))
  end
end
if total <= number then
  for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do add(name) end
else
  local chosen = {}
  for i = 1, number do
    local last = total - number + i - 1
    local rank = math.floor(tonumber(ARGV[i + 1]) * (last + 1))
    if chosen[rank] then rank = last end
    chosen[rank] = true
    add(redis.call('ZRANGE', KEYS[2], rank, rank)[1])
  end
end
return found
""",
    "no-writes",
)

# KEYS accesses meta; ARGV id, slots, whether uses are counted, hits, misses, evictions, a seed, then in one string 14
# bytes of each note: hash, ticks, uses. Returns 0 where the namespace is not there.
# Several uses at once are added as in `postgres.eviction_statements`: a frequency that is x above the first one
# stands for 5 x^2 - 4 x uses.
NOTE = Script(
    f"""
if redis.call('HGET', KEYS[2], 'id') ~= ARGV[1] then return 0 end
local size = redis.call('STRLEN', KEYS[1]) -- first, as a key of another type ends the script
for i, field in ipairs({{'hits', 'misses', 'evictions'}}) do
  if ARGV[i + 3] ~= '0' then redis.call('HINCRBY', KEYS[2], field, ARGV[i + 3]) end
end
local notes = ARGV[8]
if notes == '' then return 1 end
local wanted, slots = tonumber(ARGV[2]), size / 8
if slots < wanted or slots > {MAX_SLOTS} or slots % 1 ~= 0 or bit.band(slots, slots - 1) ~= 0 then
  slots = wanted
  redis.call('UNLINK', KEYS[1])
  redis.call('SETRANGE', KEYS[1], slots * 8 - 1, '\\0')
end
math.randomseed(tonumber(ARGV[7]))
local counts = ARGV[3] == '1'
local function age(word, ticks)
  local found = (ticks - word.time) % 4294967296
  return found < 2147483648 and found or found - 4294967296
end
local function faded(word, ticks)
  local age = age(word, ticks)
  if age <= 0 then return word.frequency end
  return math.max(0, word.frequency - math.floor(ticks / {_MINUTE}) + math.floor((ticks - age) / {_MINUTE}))
end
local function is_lesser(word, other, ticks)
  local age, others = age(word, ticks), age(other, ticks)
  if counts then
    local frequency, others_frequency = faded(word, ticks), faded(other, ticks)
    if frequency ~= others_frequency then return frequency < others_frequency end
  end
  return age >= others
end
local function word_at(pair, place)
  local frequency, time, tag = struct.unpack('<BI4I3', pair, 1 + place * 8)
  return {{place = place, frequency = frequency, time = time, tag = tag, is_empty = frequency + time + tag == 0}}
end
for at = 1, #notes, 14 do
  local hash, ticks, uses = struct.unpack('<I4dI2', notes, at)
  local place, tag = hash % slots, math.floor(hash / 256)
  local base = place - place % 2
  local pair = redis.call('GETRANGE', KEYS[1], base * 8, base * 8 + 15)
  local word, other = word_at(pair, place % 2), word_at(pair, 1 - place % 2)
  if word.is_empty or word.tag ~= tag then
    if not other.is_empty and other.tag == tag then word = other
    elseif not word.is_empty and (other.is_empty or not is_lesser(word, other, ticks)) then word = other end
  end
  local is_new = word.is_empty or word.tag ~= tag
  local frequency = {FIRST}
  if counts then
    if is_new then uses = uses - 1 else frequency = faded(word, ticks) end
    local risen = math.max(frequency, math.min({FIRST}, frequency + uses))
    uses = uses - math.max(0, {FIRST} - frequency)
    frequency = risen
    if uses > 0 then
      local over = frequency - {FIRST}
      local stands_for = {_HALF} * over * over - {_HALF - 1} * over + uses
      frequency = math.min({MAX_FREQUENCY}, {FIRST} + math.floor(
        ({_HALF - 1} + math.sqrt({(_HALF - 1) ** 2} + {4 * _HALF} * stands_for)) / {LOG_FACTOR} + math.random()))
    end
  end
  local time = ticks % 4294967296
  if not is_new and age(word, ticks) < 0 then time = word.time end
  redis.call('SETRANGE', KEYS[1], (base + word.place) * 8, struct.pack('<BI4I3', frequency, time, tag))
end
return 1
"""
)

# KEYS accesses meta; ARGV id, then in one string the 4 bytes of each hash. Returns the two words of each.
USES = Script(
    same_store(2)
    + f"""
local slots = redis.call('STRLEN', KEYS[1]) / 8
if slots < 2 or slots > {MAX_SLOTS} or slots % 2 ~= 0 then return '' end
local found = {{}}
for at = 1, #ARGV[2], 4 do
  local place = struct.unpack('<I4', ARGV[2], at) % slots
  local base = place - place % 2
  found[#found + 1] = redis.call('GETRANGE', KEYS[1], base * 8, base * 8 + 15)
end
return table.concat(found)
""",
    "no-writes",
)
