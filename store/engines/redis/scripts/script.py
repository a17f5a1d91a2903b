"""The Lua scripts: each operation is one, so that it is atomic, and done whole or not at all.

A script checks everything before its first write: Redis has no rollback. The first line makes the server refuse a
script that writes before it starts, where it could not finish: without memory, on a replica, without the replicas
that `min-replicas-to-write` asks for
(https://redis.io/docs/latest/develop/programmability/eval-intro/, *Script flags*). Errors of ours begin with a word
in capitals. Numbers that must keep all their bits pass as text or packed bytes: Lua prints 14 digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from hashlib import sha1

from store.engines.redis.resp import Part, chunks, parts

ANOTHER_STORE, NO_SPACE, CONFLICT, LEASED = "ANOTHERSTORE", "NOSPACE", "CONFLICT", "LEASED"
TOO_MUCH, UNKNOWN, NO_IDENTITY, DAMAGED = "TOOMUCH", "UNKNOWN", "NOIDENTITY", "DAMAGED"
MAX_RECORDS = 1000
"""That one script reads or writes: one that took 6 seconds was a failover."""
KEPT_HEADS = 256  # beginnings of a script's commands, one for each set of keys

WITHOUT_BODY = """
-- A row up to its body; whole, if another program wrote something else there: the client names the record.
local function without_body(row)
  local size = #row < 46 and 0 or struct.unpack('<I4', row, 42)
  return size > #row - 46 and row or row:sub(1, #row - size)
end
"""
LEASE_END = """
-- When a lease or a wait ends; 0, if another program wrote something else there.
local function end_of(lease) return #lease == 24 and struct.unpack('<d', lease) or 0 end
"""


def same_store(meta: int) -> str:
    """The beginning of a script that reads a namespace, with `meta` as that key and the store's id as `ARGV[1]`."""
    return expect_id(f"redis.call('HGET', KEYS[{meta}], 'id')")


def expect_id(found: str) -> str:
    """The lines that refuse another store; `found`: Lua for the id that the namespace has, false if it has none."""
    return f"""
local found_id = {found}
if found_id and found_id ~= ARGV[1] then
  return redis.error_reply('ANOTHERSTORE it is not the store that was opened')
end
"""


class Script:
    """A script, and the digest by which the server knows it once it was loaded."""

    def __init__(self, text: str, flags: str = "") -> None:
        self.text = f"#!lua{f' flags={flags}' if flags else ''}\n{text}".encode()
        self._heads: dict[tuple[bytes, ...], bytes] = {}

    @cached_property
    def digest(self) -> bytes:
        """Computed on first use, since importing this module must not cost it."""
        return sha1(self.text, usedforsecurity=False).hexdigest().encode()

    def command(self, keys: tuple[bytes, ...], arguments: Sequence[Part]) -> list[bytes]:
        """The command that runs it, as the chunks to send."""
        head = self._heads.get(keys)
        if head is None:
            if len(self._heads) >= KEPT_HEADS:
                self._heads.clear()
            head = self._heads[keys] = parts((b"EVALSHA", self.digest, len(keys), *keys))
        return chunks(3 + len(keys) + len(arguments), head, arguments)
