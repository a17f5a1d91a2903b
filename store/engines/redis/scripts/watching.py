"""Scripts that look for changes of a namespace."""

from __future__ import annotations

from store.engines.redis.scripts.script import SAME_STORE, Script

# KEYS meta changes; ARGV id. Returns the version, and id and token of the last entry of the stream; nils where there
# is none. The version is nil where the namespace is not there.
LOOK = Script(
    SAME_STORE
    + """
local meta = redis.call('HMGET', KEYS[1], 'id', 'version')
local wrong = another(meta[1], ARGV[1])
if wrong then return wrong end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
return {meta[1] and (meta[2] or '0'), last and last[1] or false, last and last[2][4] or false}
""",
    "no-writes",
)
