"""Scripts that look for changes of namespaces."""

from __future__ import annotations

from store.engines.redis.scripts.script import Script, expect_id

# KEYS meta changes; ARGV id. Returns the version, and id and token of the last entry of the stream; nils where there
# is none. The version is nil where the namespace is not there.
LOOK = Script(
    "local meta = redis.call('HMGET', KEYS[1], 'id', 'version')"
    + expect_id("meta[1]")
    + """
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
return {meta[1] and (meta[2] or '0'), last and last[1] or false, last and last[2][4] or false}
""",
    "no-writes",
)

# KEYS meta changes, of several namespaces. Returns a digest of their stores, versions, and the id and token of the
# last entry of each stream; of a key that another program wrote over, of the error.
LOOK_ALL = Script(
    """
local found = {}
local function add(text) found[#found + 1] = text or '' end
for i = 1, #KEYS, 2 do
  local meta = redis.pcall('HMGET', KEYS[i], 'id', 'version')
  add(meta.err or meta[1])
  add(meta[2])
  local entries = redis.pcall('XREVRANGE', KEYS[i + 1], '+', '-', 'COUNT', 1)
  local last = entries[1]
  add(entries.err or last and last[1])
  add(last and last[2][4])
end
return redis.sha1hex(table.concat(found, ' '))
""",
    "no-writes",
)
