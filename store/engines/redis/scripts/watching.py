"""Scripts that look for changes of a namespace."""

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
