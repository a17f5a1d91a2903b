"""Scripts that make a store and its namespaces."""

from __future__ import annotations

from store.engines.redis.scripts.script import Script

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
if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then
  return redis.error_reply('NOIDENTITY the store has lost its id')
end
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'format', ARGV[2])
return {ARGV[1], ARGV[2]}
"""
)
